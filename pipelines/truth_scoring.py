"""Distances to the synthetic truth: what no real data set can tell."""

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from models.camera import Camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.highlight_leak import facing, highlight_leak
from models.renderer import landmark_pixels, pose_face
from models.scores import TruthErrors, eye_error, truth_errors
from pipelines.mean_prediction import MEAN_PREDICTION
from pipelines.methods import MEAN_FACE, WSL_CONTROL
from pipelines.scoring import OK, finite_batches, with_diverged
from pipelines.truth import true_coefficients, true_landmarks

MEASURES = (*TruthErrors._fields, "landmarks", "eye_opening", "highlight_leak")
_NOT_ESTIMATED = {
    WSL_CONTROL: ("specular", "light_direction", "shininess"),
    MEAN_FACE: ("light_direction", "shininess"),
    MEAN_PREDICTION: ("landmarks", "eye_opening"),
}


def truth_scores(
    method: str, coefficients: pd.DataFrame, truth: pd.DataFrame, *, model: FaceModel, camera: Camera, crop_size: int
) -> pd.DataFrame:
    """Errors of every estimated quantity on the synthetic test crops; the column is the quantity."""
    table = coefficients[coefficients["key"].isin(truth.index)]
    names = [name for name in MEASURES if name not in _NOT_ESTIMATED.get(method, ())]
    rows = []
    for keys, estimated in finite_batches(table, f"truth {method}"):
        measured = _measured(model, estimated, truth.loc[keys], camera, crop_size)
        for name in names:
            values = measured[name].tolist()
            rows += [(method, name, key, value, OK) for key, value in zip(keys, values, strict=True)]
    return with_diverged(rows, table, method, columns=names)


def _measured(
    model: FaceModel, estimated: Coefficients, truth: pd.DataFrame, camera: Camera, crop_size: int
) -> dict[str, Float[Tensor, "B"]]:
    true = true_coefficients(truth)
    errors = truth_errors(model, estimated, true, ~model.region_mask("inner_mouth"))
    projected = landmark_pixels(model, pose_face(model, estimated, camera), crop_size)
    points = true_landmarks(truth)
    return {
        **errors._asdict(),
        "landmarks": torch.linalg.vector_norm(projected - points, dim=-1).mean(dim=-1),
        "eye_opening": eye_error(projected, points),
        "highlight_leak": _leak(model, estimated, true, camera),
    }


def _leak(model: FaceModel, estimated: Coefficients, true: Coefficients, camera: Camera) -> Float[Tensor, "B"]:
    face = pose_face(model, true, camera)
    seen = facing(model, face, camera.position) & model.region_mask("skin", "nose")
    diffuse, true_diffuse = model.albedos(estimated.albedo).diffuse, model.albedos(true.albedo).diffuse
    return highlight_leak(diffuse, true_diffuse, face.lit_specular, seen)
