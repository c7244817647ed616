"""Stage train_recognizer: FaceNet with the triplet loss, or published weights."""

from stages._params import load_params
from stages._stage import MEMO, PathFlag, run_stage


def train_recognizer(*, aligned: PathFlag, segments: PathFlag, output: PathFlag) -> None:
    """Train the face recogniser with the triplet loss, or load published weights."""
    params = load_params()
    from pipelines.recognition import make_recognizer

    make_recognizer(aligned, segments, output, params.train_recognizer, memo=MEMO)


if __name__ == "__main__":
    run_stage(train_recognizer)
