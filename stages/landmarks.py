"""The 68 landmarks of every crop."""

from stages._params import load_params
from stages._stage import MEMO, PathFlag, run_stage


def landmarks(*, aligned: PathFlag, weights: PathFlag, output: PathFlag) -> None:
    """Label with FAN when its weights are there, else with the network of train_landmarks."""
    params = load_params()
    from pipelines.labelling.landmark_labels import label_landmarks

    label_landmarks(aligned, weights, output, params=params.landmarks, memo=MEMO, engine=params.labelling)


if __name__ == "__main__":
    run_stage(landmarks)
