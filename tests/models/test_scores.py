"""Numbers of the tables, by hand."""

import math

import pytest
import torch

from models.face_model import FaceModel
from models.scores import angle_degrees, box_size, eye_error, mouth_error, pixel_error, rotation_degrees, truth_errors
from tests.label_tree import random_faces
from tests.toy import toy_face_arrays


def test_colour_error_is_the_mean_distance_inside_the_mask_only() -> None:
    image, rendering = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    rendering[0, :, 0, 0] = torch.tensor([0.3, 0.4, 0.0])
    rendering[0, :, 1, 1] = 1.0  # outside
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    assert pixel_error(image, rendering, mask).item() == pytest.approx(0.25)
    assert pixel_error(image, rendering, mask, power=2).item() == pytest.approx(0.125)  # 0.5² and 0²


def test_a_missed_face_counts_as_wholly_wrong() -> None:
    nothing = torch.zeros(1, 3, 2, 2)
    assert pixel_error(nothing, nothing, torch.zeros(1, 1, 2, 2)).item() == 1.0


def test_mouth_error_looks_at_the_eight_inner_points() -> None:
    true = torch.zeros(1, 68, 2)
    projected = true.clone()
    projected[0, 60] = torch.tensor([3.0, 4.0])
    projected[0, :60] = 100.0
    assert mouth_error(projected, true).item() == pytest.approx(5 / 8)


def test_eye_error_is_the_difference_of_the_openings_wherever_the_eyes_are() -> None:
    true = torch.zeros(1, 68, 2)
    true[0, [37, 38, 43, 44], 1], true[0, [41, 40, 47, 46], 1] = -3.0, 5.0
    moved = true + torch.tensor([7.0, -2.0])
    assert eye_error(moved, true).item() == 0.0
    moved[0, [37, 38], 1] += 2.0  # the right eye closes by 2, the left one opens by 3
    moved[0, [43, 44], 1] -= 3.0
    assert eye_error(moved, true).item() == pytest.approx(2.5)


def test_box_size_is_the_root_of_the_area() -> None:
    points = torch.zeros(1, 68, 2)
    points[0, 5] = torch.tensor([9.0, 4.0])
    assert box_size(points).item() == pytest.approx(6.0)


def test_angles_between_directions_and_poses() -> None:
    first, second = torch.tensor([[0.0, 0.0, 2.0]]), torch.tensor([[0.0, 5.0, 5.0]])
    assert angle_degrees(first, second).item() == pytest.approx(45.0)
    yaw = torch.tensor([[0.2, math.radians(30), 0.1]]), torch.tensor([[0.2, math.radians(30), -0.2]])
    assert rotation_degrees(*yaw).item() == pytest.approx(math.degrees(0.3), abs=1e-3)
    assert rotation_degrees(yaw[0], yaw[0]).item() == pytest.approx(0.0, abs=1e-3)


def test_truth_errors_are_zero_at_equality_and_touch_only_what_differs() -> None:
    model, truth = FaceModel(toy_face_arrays()), random_faces(2)
    visible = ~model.region_mask("inner_mouth")
    assert all(error.abs().max() < 0.05 for error in truth_errors(model, truth, truth, visible))
    brighter = truth._replace(albedo=truth.albedo + 1)
    errors = truth_errors(model, brighter, truth, visible)
    assert errors.diffuse.min() > 0.01
    assert errors.identity.max() == 0 and errors.expression.max() == 0
