"""The landmark network, trained on synthetic truth."""

from stages._params import load_params
from stages._stage import PathFlag, run_stage


def train_landmarks(*, aligned: PathFlag, truth: PathFlag, segmenter: PathFlag, output: PathFlag) -> None:
    """Train heatmaps of the 68 landmarks on the synthetic training crops."""
    params = load_params()
    from pipelines.labelling import landmark_training

    landmark_training.train_landmarks(aligned, truth, segmenter, output, params=params.train_landmarks)


if __name__ == "__main__":
    run_stage(train_landmarks)
