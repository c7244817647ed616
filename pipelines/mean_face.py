"""The method to beat: the mean face, posed by landmarks, on every benchmark."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.camera import Camera
from models.coefficients import Coefficients, CoefficientSizes
from models.face_model import FaceModel
from models.networks.regressor import neutral_coefficients
from models.pose_fit import fitted_pose
from pipelines.dataset import landmarks_by_key
from pipelines.face_model_file import load_face_model
from pipelines.methods import MEAN_FACE
from pipelines.params import PredictParams
from pipelines.prediction import CropSet, Predictor, write_predictions

_LIGHT_BEHIND = (0.0, 0.0, -1000.0)  # mm, camera frame: no highlight on what the camera sees


def predict_mean_face(
    output: Path,
    *,
    face_model: Path,
    labels: Path,
    benchmarks: Path,
    camera: Camera,
    crop_size: int,
    params: PredictParams,
) -> None:
    """Write the coefficients and the meshes of the mean face on all benchmarks."""
    model = load_face_model(face_model)
    predictor = mean_face_predictor(model, camera=camera, crop_size=crop_size, iterations=params.pose_iterations)
    write_predictions(
        MEAN_FACE, predictor, output, model=model, labels=labels, benchmarks=benchmarks, batch_size=params.batch_size
    )


def mean_face_predictor(model: FaceModel, *, camera: Camera, crop_size: int, iterations: int) -> Predictor:
    """Average shape and albedo, no expression, white light without highlight, pose by the labelled landmarks."""
    sizes = CoefficientSizes(model.shape_size, model.expression_size, model.albedo_size)
    mean_landmarks = model.landmarks(model.mean_shape[None])[0]
    loaded: dict[Path, dict[str, NDArray[np.float32]]] = {}

    @torch.inference_mode()
    def predict(crop_set: CropSet, keys: Sequence[str]) -> Coefficients:
        by_key = loaded.setdefault(crop_set.landmarks, landmarks_by_key(crop_set.landmarks))
        labelled = torch.from_numpy(np.stack([by_key[key] for key in keys]))
        pose = fitted_pose(mean_landmarks, labelled, camera=camera, size=(crop_size, crop_size), iterations=iterations)
        neutral = neutral_coefficients(sizes, len(keys))
        behind = neutral.light_position.new_tensor(_LIGHT_BEHIND).expand_as(neutral.light_position)
        return neutral._replace(**pose._asdict(), light_position=behind)

    return predict
