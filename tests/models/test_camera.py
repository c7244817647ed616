import math

import pytest
import torch
from torch import Tensor

from models.camera import Camera, camera_from_model, clip_from_camera, pixel_from_clip, rotation_from_euler

CAMERA = Camera(math.radians(12.6), 1000.0)
AXES = torch.eye(3, dtype=torch.float64)


def _angles(*degrees: float) -> Tensor:
    return torch.deg2rad(torch.tensor([degrees], dtype=torch.float64))


def _pixels(points: Tensor, size: tuple[int, int] = (200, 200), camera: Camera = CAMERA) -> Tensor:
    return pixel_from_clip(clip_from_camera(points, camera), size)


def test_rotations_are_orthonormal_and_do_not_mirror() -> None:
    angles = 3 * torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rotations = rotation_from_euler(angles)
    torch.testing.assert_close(
        rotations @ rotations.transpose(1, 2), torch.eye(3, dtype=torch.float64).expand(20, 3, 3)
    )
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(20, dtype=torch.float64))


@pytest.mark.parametrize(
    ("degrees", "axis", "expected"),
    [
        ((90, 0, 0), 1, (0, 0, 1)),  # pitch: up turns to the viewer, the face looks down
        ((0, 90, 0), 2, (1, 0, 0)),  # yaw: the nose turns to the right of the picture
        ((0, 0, 90), 0, (0, 1, 0)),  # roll: right turns up
    ],
)
def test_angles_turn_by_the_right_hand(degrees: tuple[float, ...], axis: int, expected: tuple[float, ...]) -> None:
    turned = rotation_from_euler(_angles(*degrees))[0] @ AXES[axis]
    torch.testing.assert_close(turned, torch.tensor(expected, dtype=torch.float64))


def test_pitch_comes_first_then_yaw_then_roll() -> None:
    pitch, yaw, roll = (rotation_from_euler(_angles(*row))[0] for row in ((20, 0, 0), (0, 30, 0), (0, 0, 40)))
    torch.testing.assert_close(rotation_from_euler(_angles(20, 30, 40))[0], roll @ yaw @ pitch)


def test_eq03_is_scale_times_rotation_times_translated_vertex() -> None:
    generator = torch.Generator().manual_seed(1)
    vertices, translation = (torch.randn(2, count, 3, generator=generator) for count in (4, 1))
    angles, scale = torch.randn(2, 3, generator=generator), torch.tensor([[0.5], [2.0]])
    points = camera_from_model(vertices, angles, translation[:, 0], scale)
    for face in range(2):
        (sa, sb, sc), (ca, cb, cc) = angles[face].sin().tolist(), angles[face].cos().tolist()
        rx = torch.tensor([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
        ry = torch.tensor([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
        rz = torch.tensor([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
        for vertex in range(4):
            expected = scale[face] * (rz @ (ry @ (rx @ (vertices[face, vertex] + translation[face, 0]))))
            torch.testing.assert_close(points[face, vertex], expected)


def test_the_origin_falls_on_the_middle_of_the_picture() -> None:
    torch.testing.assert_close(_pixels(torch.zeros(1, 1, 3)), torch.tensor([[[100.0, 100.0]]]))


def test_the_edge_of_the_field_of_view_is_the_edge_of_the_picture() -> None:
    half = 1000 * math.tan(math.radians(12.6 / 2))  # mm at the distance of the face
    corners = torch.tensor([[[-half, half, 0], [half, -half, 0]]])  # top left, bottom right
    torch.testing.assert_close(_pixels(corners), torch.tensor([[[0.0, 0.0], [200.0, 200.0]]]), atol=1e-3, rtol=0)


def test_y_points_up_in_space_and_down_in_the_picture() -> None:
    x, y = _pixels(torch.tensor([[[10.0, 20.0, 0.0]]]))[0, 0]
    assert x > 100 and y < 100


def test_nearer_things_are_larger() -> None:
    near, far = _pixels(torch.tensor([[[50.0, 0, 100], [50, 0, -100]]]))[0, :, 0] - 100
    torch.testing.assert_close(near / far, torch.tensor(1100.0 / 900.0))


def test_nearer_things_have_a_smaller_depth_inside_the_clip_range() -> None:
    clip = clip_from_camera(torch.tensor([[[0.0, 0, 499], [0, 0, 0], [0, 0, -499]]]), CAMERA)
    depth = (clip[0, :, 2] / clip[0, :, 3]).tolist()
    assert -1 < depth[0] < depth[1] < depth[2] < 1


def test_pixel_centres_lie_at_half() -> None:
    first_pixel = torch.tensor([[[1 / 200 - 1, 1 / 100 - 1, 0, 1]]])  # half a pixel from the top-left corner
    torch.testing.assert_close(pixel_from_clip(first_pixel, (100, 200)), torch.tensor([[[0.5, 0.5]]]))


def test_deep3dfacerecon_has_the_same_focal_length() -> None:
    assert CAMERA.focal_length * 112 == pytest.approx(1015, abs=1)
    assert CAMERA.position == (0.0, 0.0, 1000.0)


def test_projection_has_a_gradient() -> None:
    generator = torch.Generator().manual_seed(2)
    sizes = ((1, 3, 3), (1, 3), (1, 3), (1, 1))
    inputs = [torch.randn(size, generator=generator, dtype=torch.float64, requires_grad=True) for size in sizes]
    assert torch.autograd.gradcheck(lambda *given: _pixels(camera_from_model(*given)), inputs)
