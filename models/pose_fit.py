"""Pose from 68 landmarks: where a face of given shape must be so that its landmarks meet the labelled ones (Eq. 3)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacfwd

from models.camera import Camera, camera_from_model, clip_from_camera, pixel_from_clip, rotation_from_euler

_DAMPING = 1.0e-3  # Levenberg–Marquardt, relative to the diagonal; far starts (60° yaw) stay stable
# Labels may be nonsense, all on one point for instance: then there is no pose, but there must be an answer.
_SMALLEST_DIAGONAL = 1.0e-6
_LARGEST_STEP = (0.5, 0.5, 0.5, 100.0, 100.0, 0.5)  # radians, mm, log scale
_SCALES = (0.05, 20.0)


class Pose(NamedTuple):
    """The seven numbers of Eq. 3."""

    euler_angles: Float[Tensor, "B 3"]  # radians
    translation: Float[Tensor, "B 3"]  # mm, face model's frame
    scale: Float[Tensor, "B 1"]


def fitted_pose(
    landmark_points: Float[Tensor, "K 3"],
    labelled: Float[Tensor, "B K 2"],
    *,
    camera: Camera,
    size: tuple[int, int],
    iterations: int,
) -> Pose:
    """The pose that minimises the squared pixel distance of projected and labelled landmarks (Gauss–Newton).

    `landmark_points` are in the face model's frame, mm; `labelled` in pixels of a picture of `size`.

    Deviation: scale and depth look alike to a camera this far away, so the face stays at the camera's distance and
    only the scale is fitted: six unknowns instead of seven.
    """
    points, wanted = landmark_points.double(), labelled.double()
    unknowns = _start(points, wanted, camera, size)

    def residuals(change: Tensor) -> Tensor:
        projected = _projected(points, _pose(unknowns + change), camera, size)
        return (projected - wanted).flatten(1)

    for _ in range(iterations):
        no_change = unknowns.new_zeros(6)
        jacobian = jacfwd(residuals)(no_change)  # (B, 2K, 6): the same change for every face, so no cross terms
        normal = jacobian.mT @ jacobian
        normal = normal + torch.diag_embed(_DAMPING * normal.diagonal(dim1=-2, dim2=-1) + _SMALLEST_DIAGONAL)
        step = torch.linalg.solve(normal, jacobian.mT @ residuals(no_change)[..., None])[..., 0]
        unknowns = unknowns - torch.minimum(step.abs(), step.new_tensor(_LARGEST_STEP)) * step.sign()
    return Pose(*(group.to(labelled.dtype) for group in _pose(unknowns)))


def _start(points: Tensor, wanted: Tensor, camera: Camera, size: tuple[int, int]) -> Tensor:
    """A frontal face with the labelled landmarks' centre and height (yaw changes the width, not the height)."""
    height, width = size
    pixels_per_mm = camera.focal_length * height / 2 / camera.distance_mm
    scale = (wanted[..., 1].std(dim=1) / points[:, 1].std() / pixels_per_mm).clamp(*_SCALES)
    centre = (wanted.mean(dim=1) - wanted.new_tensor([width / 2, height / 2])) / pixels_per_mm
    offset = points.mean(dim=0)[:2] * scale[:, None]
    zeros = torch.zeros_like(scale)
    unknowns = [zeros, zeros, zeros, centre[:, 0] - offset[:, 0], -centre[:, 1] - offset[:, 1], torch.log(scale)]
    return torch.stack(unknowns, dim=-1)


def _pose(unknowns: Tensor) -> Pose:
    """Angles, shift in the camera's plane (mm) and log scale, as the pose of Eq. 3, which moves before it rotates."""
    euler_angles, shift = unknowns[:, :3], unknowns[:, 3:5]
    scale = torch.exp(unknowns[:, 5:]).clamp(*_SCALES)
    in_camera = torch.cat([shift, torch.zeros_like(shift[:, :1])], dim=-1)
    translation = (in_camera[:, None] @ rotation_from_euler(euler_angles))[:, 0] / scale
    return Pose(euler_angles, translation, scale)


def _projected(points: Tensor, pose: Pose, camera: Camera, size: tuple[int, int]) -> Tensor:
    vertices = points.expand(len(pose.scale), -1, -1)
    return pixel_from_clip(clip_from_camera(camera_from_model(vertices, *pose), camera), size)
