"""The truth of synthetic photographs in the frame of their crops."""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from models.camera import rotation_from_euler
from models.coefficients import Coefficients
from models.landmarks import LANDMARK_COUNT
from models.light import rotated_sh
from pipelines.coefficients_file import group_from_rows


def true_coefficients(rows: pd.DataFrame) -> Coefficients:
    """True coefficients of crops: pose and light of the photograph, turned as the crop is turned against it.

    Translation and scale belong to another camera and are left at 0 and 1.
    """
    known = {name: group_from_rows(rows, name) for name in Coefficients._fields if name not in ("translation", "scale")}
    affines = _affines(rows)
    roll = -torch.atan2(affines[:, 1, 0], affines[:, 0, 0])  # pixels count down, the camera's y points up
    turn = torch.stack([torch.zeros_like(roll), torch.zeros_like(roll), roll], dim=-1)
    rotation = rotation_from_euler(turn)
    known["euler_angles"] = known["euler_angles"] + turn
    known["sh_coefficients"] = rotated_sh(known["sh_coefficients"], rotation)
    known["light_position"] = known["light_position"] @ rotation.mT
    return Coefficients(**known, translation=torch.zeros(len(rows), 3), scale=torch.ones(len(rows), 1))


def true_landmarks(rows: pd.DataFrame) -> Float[Tensor, "B 68 2"]:
    """True landmarks of crops, in pixels of the crop."""
    points = torch.from_numpy(np.stack([np.asarray(row, np.float32) for row in rows["landmarks"]]))
    affines = _affines(rows)
    return points.view(-1, LANDMARK_COUNT, 2) @ affines[:, :, :2].transpose(1, 2) + affines[:, None, :, 2]


def _affines(rows: pd.DataFrame) -> Float[Tensor, "B 2 3"]:
    return group_from_rows(rows, "crop_from_photograph").unflatten(1, (2, 3))
