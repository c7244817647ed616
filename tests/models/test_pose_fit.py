"""The fitted pose meets the landmarks that made it."""

import math

import pytest
import torch

from models.camera import Camera, camera_from_model, clip_from_camera, pixel_from_clip, rotation_from_euler
from models.pose_fit import Pose, fitted_pose

CAMERA = Camera(math.radians(12.6), 1000.0)
SIZE = (224, 224)


def face_landmarks() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(68, 3, generator=generator) - 0.5) * torch.tensor([120.0, 130.0, 70.0])


def projected(points: torch.Tensor, pose: Pose) -> torch.Tensor:
    vertices = points.expand(len(pose.scale), -1, -1)
    return pixel_from_clip(clip_from_camera(camera_from_model(vertices, *pose), CAMERA), SIZE)


def fit(labelled: torch.Tensor) -> Pose:
    return fitted_pose(face_landmarks(), labelled, camera=CAMERA, size=SIZE, iterations=20)


@pytest.mark.parametrize("yaw_degrees", [0.0, 20.0, -60.0])
def test_a_known_pose_is_found_again(yaw_degrees: float) -> None:
    angles = torch.tensor([[0.15, math.radians(yaw_degrees), -0.1], [0.0, 0.0, 0.3]])
    pose = Pose(angles, torch.tensor([[4.0, -3.0, 0.0], [0.0, 7.0, 1.0]]), torch.tensor([[0.8], [1.2]]))
    labelled = projected(face_landmarks(), pose)
    found = fit(labelled)
    torch.testing.assert_close(found.euler_angles, angles, atol=0.01, rtol=0)
    torch.testing.assert_close(
        projected(face_landmarks(), found), labelled, atol=0.3, rtol=0
    )  # px: depth is not fitted
    in_camera = rotation_from_euler(found.euler_angles) @ found.translation[..., None]
    assert in_camera[:, 2].abs().max() < 1e-3  # mm: the face stays at the camera's distance


def test_faces_of_a_batch_do_not_influence_each_other() -> None:
    poses = Pose(torch.tensor([[0.1, 0.3, 0.0], [0.0, -0.9, 0.2]]), torch.zeros(2, 3), torch.tensor([[1.0], [0.7]]))
    labelled = projected(face_landmarks(), poses)
    torch.testing.assert_close(fit(labelled).euler_angles[:1], fit(labelled[:1]).euler_angles)


def test_noise_in_the_labels_moves_the_pose_only_a_little() -> None:
    pose = Pose(torch.tensor([[0.0, 0.4, 0.0]]), torch.zeros(1, 3), torch.ones(1, 1))
    noise = torch.randn(1, 68, 2, generator=torch.Generator().manual_seed(1))
    found = fit(projected(face_landmarks(), pose) + noise)
    assert (found.euler_angles - pose.euler_angles).abs().max() < math.radians(1.5)


def test_labels_on_one_point_give_some_finite_pose() -> None:
    found = fit(torch.full((2, 68, 2), 30.0))
    assert all(bool(group.isfinite().all()) for group in found)
