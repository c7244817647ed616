"""The inner-mouth mask of every crop."""

from stages._params import load_params
from stages._stage import MEMO, PathFlag, run_stage


def mouth(*, landmarks: PathFlag, segments: PathFlag, output: PathFlag) -> None:
    """Write the inner mouth, empty where it is closed."""
    params = load_params()
    from pipelines.labelling.mouth import label_mouths

    label_mouths(landmarks, segments, output, params=params.mouth, memo=MEMO, engine=params.labelling)


if __name__ == "__main__":
    run_stage(mouth)
