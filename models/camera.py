"""The fixed perspective camera and every change of frame: model → camera → clip → pixel (Eq. 3).

Camera frame: mm, origin at the face, x right, y up, z to the viewer; the camera stands at (0, 0, distance) and looks
along -z. Clip: x right, y down (rows of a picture), nearer is smaller in z/w. Pixel: origin at the top-left corner of
the top-left pixel, pixel centres at +0.5.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Camera(NamedTuple):
    """A square perspective camera; the vertical and the horizontal field of view are equal."""

    field_of_view: float  # radians
    distance_mm: float

    @property
    def position(self) -> tuple[float, float, float]:
        """Where the camera stands, camera frame, mm."""
        return (0.0, 0.0, self.distance_mm)

    @property
    def focal_length(self) -> float:
        """Focal length in units of half the picture's size."""
        return 1.0 / math.tan(self.field_of_view / 2)


def rotation_from_euler(euler_angles: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 3"]:
    """Rotation matrices Rz(gamma) Ry(beta) Rx(alpha): pitch first, then yaw, then roll; radians."""
    (sin_a, sin_b, sin_c), (cos_a, cos_b, cos_c) = torch.sin(euler_angles).T, torch.cos(euler_angles).T
    rows = [
        cos_c * cos_b,
        cos_c * sin_b * sin_a - sin_c * cos_a,
        cos_c * sin_b * cos_a + sin_c * sin_a,
        sin_c * cos_b,
        sin_c * sin_b * sin_a + cos_c * cos_a,
        sin_c * sin_b * cos_a - cos_c * sin_a,
        -sin_b,
        cos_b * sin_a,
        cos_b * cos_a,
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def camera_from_model(
    vertices: Float[Tensor, "B V 3"],
    euler_angles: Float[Tensor, "B 3"],
    translation: Float[Tensor, "B 3"],
    scale: Float[Tensor, "B 1"],
) -> Float[Tensor, "B V 3"]:
    """Points in the camera frame, mm: scale times rotation times translated point (Eq. 3, first part)."""
    turned = scale[:, None] * rotation_from_euler(euler_angles).transpose(-1, -2)
    return torch.baddbmm(translation[:, None] @ turned, vertices, turned)  # (vertices + translation) @ turned, at once


def clip_from_camera(points: Float[Tensor, "B V 3"], camera: Camera) -> Float[Tensor, "B V 4"]:
    """Homogeneous clip coordinates of points in the camera frame (Eq. 3, perspective part).

    The depth range is half to one and a half times the camera's distance.
    """
    near, far = 0.5 * camera.distance_mm, 1.5 * camera.distance_mm
    x, y, z = points.unbind(dim=-1)
    depth = camera.distance_mm - z
    clip_z = (depth * (far + near) - 2 * far * near) / (far - near)
    return torch.stack([camera.focal_length * x, -camera.focal_length * y, clip_z, depth], dim=-1)


def pixel_from_clip(clip: Float[Tensor, "B V 4"], size: tuple[int, int]) -> Float[Tensor, "B V 2"]:
    """Pixel coordinates (x, y) of clip coordinates in a picture of `size` (height, width)."""
    height, width = size
    x, y, _, w = clip.unbind(dim=-1)
    return torch.stack([(x / w + 1) * (width / 2), (y / w + 1) * (height / 2)], dim=-1)


def index_from_pixel_affine(affine: Float[Tensor, "B 2 3"]) -> Float[Tensor, "B 2 3"]:
    """An affine map of pixel coordinates, rewritten for array indices, which are whole numbers at pixel centres."""
    linear, translation = affine[..., :2], affine[..., 2:]
    half = torch.full_like(translation, 0.5)
    return torch.cat([linear, linear @ half + translation - half], dim=-1)
