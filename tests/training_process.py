"""Trains a toy regressor in a process of its own, for tests that kill it or start several.

`python -m tests.training_process ROOT OUTPUT CHANGES`: ROOT holds what `tests.label_tree` writes, CHANGES is JSON
of `train`, and under the key `regressor` of that section.
"""

import json
import sys
from pathlib import Path

from torch import Tensor
from torchvision.ops import StochasticDepth

from pipelines.params import RegressorParams, TrainParams, Variant
from pipelines.training import TrainingInputs, train_regressor
from tests.label_tree import CAMERA, SIZE, smoke_params


def toy_regressor_params(**changes: object) -> RegressorParams:
    """A small network, untrained."""
    small = {
        "backbone": "mobilenet_v3_small",
        "landmark_points": False,
        "input_size": SIZE,
        "initialization": "scratch",
    }
    return smoke_params().regressor.model_copy(update={**small, **changes})


def toy_train_params(**changes: object) -> TrainParams:
    """Few iterations with every number logged."""
    small = {
        "iterations": 4,
        "mouth_start_iteration": 1,
        "batch_size": 6,
        "render_size": SIZE,
        "log_every": 1,
        "sheet_every": 4,
        "checkpoint_every": 1000,
        "live_tracking": False,
        "precision": "32-true",
    }
    return smoke_params().train.model_copy(update={**small, **changes})


def train_toy(
    root: Path,
    output: Path,
    params: TrainParams,
    variant: Variant = "full",
    regressor: RegressorParams | None = None,
) -> None:
    """Train one variant on the toy labels under `root`; checkpoints go to `root`/memo."""
    train_regressor(
        variant,
        TrainingInputs(root / "face_model.h5", root / "labels", root / "recognizer", root / "pretrained"),
        output,
        camera=CAMERA,
        crop_size=SIZE,
        regressor=regressor or toy_regressor_params(),
        params=params,
        experiment="test",
        memo=root / "memo",
    )


def all_layers(self: StochasticDepth, input: Tensor) -> Tensor:
    """In place of `StochasticDepth.forward`: no layer is left out, so that nothing hangs on how a batch is divided."""
    return input


if __name__ == "__main__":
    StochasticDepth.forward = all_layers
    changes = json.loads(sys.argv[3])
    regressor = toy_regressor_params(**changes.pop("regressor", {}))
    train_toy(Path(sys.argv[1]), Path(sys.argv[2]), toy_train_params(**changes), regressor=regressor)
