"""Predicted meshes as `predict` writes them, and what may be wrong with them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.face_model import FaceModel
from models.landmarks import LANDMARKS
from pipelines.scoring import DIVERGED

WRONG_SIZE = "wrong size"
_OUTER_EYES_MM = (9.0, 900.0)  # a face has 90; what lies outside is in centimetres, metres or micrometres, or diverged


def read_predicted_mesh(path: Path, model: FaceModel) -> NDArray[np.float64]:
    """Vertices (V, 3), mm; FileNotFoundError without the file, ValueError for another topology than the model's."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; run the stage predict for this method")
    with np.load(path, allow_pickle=False) as file:
        vertices = file["vertices"].astype(np.float64)
    if vertices.shape != model.arrays.mean_shape.shape:
        raise ValueError(
            f"{path}: expected the face model's {len(model.arrays.mean_shape)} vertices with x, y, z, got an array of"
            f" shape {vertices.shape}: run the stage predict again with this face model"
        )
    return vertices


def mesh_flaw(vertices: NDArray[np.float64], model: FaceModel) -> str:
    """Why a mesh cannot be measured, as a score's status; empty when it can."""
    if not np.isfinite(vertices).all():
        return DIVERGED
    right, left = (LANDMARKS[name][corner] for name, corner in (("right_eye", 0), ("left_eye", 3)))
    distance = np.linalg.norm(np.diff(vertices[model.arrays.landmark_vertices[[right, left]]], axis=0))
    return "" if _OUTER_EYES_MM[0] <= distance <= _OUTER_EYES_MM[1] else WRONG_SIZE
