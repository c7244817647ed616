"""The face segmentation network, trained where the truth is known."""

from stages._params import load_params
from stages._stage import PathFlag, run_stage


def train_segmenter(*, aligned: PathFlag, truth: PathFlag, output: PathFlag) -> None:
    """Train a U-Net with weighted cross-entropy on the training crops with known segments."""
    params = load_params()
    from pipelines.labelling import segmentation

    segmentation.train_segmenter(aligned, truth, output, params=params.train_segmenter)


if __name__ == "__main__":
    run_stage(train_segmenter)
