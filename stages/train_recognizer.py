"""Stage train_recognizer: FaceNet with the triplet loss, and the features of every crop."""

from stages._params import load_params
from stages._stage import PathFlag, run_stage


def train_recognizer(*, aligned: PathFlag, output: PathFlag) -> None:
    """Train the face recogniser with the triplet loss, or load published weights, and compute the crops' features."""
    params = load_params()
    from pipelines.recognition import make_recognizer

    make_recognizer(aligned, output, params.train_recognizer)


if __name__ == "__main__":
    run_stage(train_recognizer)
