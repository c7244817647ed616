"""The segments of every crop."""

from stages._params import load_params
from stages._stage import MEMO, PathFlag, run_stage


def segment(*, aligned: PathFlag, weights: PathFlag, output: PathFlag) -> None:
    """Write the class number of each pixel of each crop."""
    params = load_params()
    from pipelines.labelling.segmentation import label_segments

    label_segments(aligned, weights, output, params=params.segment, memo=MEMO, engine=params.labelling)


if __name__ == "__main__":
    run_stage(segment)
