"""A planted share of the highlight is found again, and nothing else passes for one."""

import pytest
import torch

from models.camera import Camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.highlight_leak import facing, highlight_leak
from models.renderer import pose_face
from tests.label_tree import CAMERA, random_faces
from tests.toy import toy_face_arrays

GREY = torch.ones(3)


def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """True diffuse albedo, lit highlight and seen vertices of two faces."""
    generator = torch.Generator().manual_seed(0)
    albedo = 0.3 + 0.1 * torch.rand(2, 200, 3, generator=generator)
    highlight = 0.5 * torch.rand(2, 200, 1, generator=generator) ** 4 * GREY + 0.3 * albedo
    return albedo, highlight, torch.arange(200).expand(2, -1) < 150


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0, -0.2])
def test_a_planted_share_is_found_whatever_offset_and_scale_the_albedo_has(share: float) -> None:
    albedo, highlight, seen = scene()
    found = highlight_leak(0.1 + 0.7 * albedo + share * highlight, albedo, highlight, seen)
    torch.testing.assert_close(found, torch.full((2,), share), atol=1e-5, rtol=0)


def test_vertices_that_nobody_sees_do_not_count() -> None:
    albedo, highlight, seen = scene()
    spoilt = torch.where(seen[..., None], albedo, 9.0)
    torch.testing.assert_close(highlight_leak(spoilt, albedo, highlight, seen), torch.zeros(2), atol=1e-5, rtol=0)


def test_without_a_visible_highlight_nothing_leaks() -> None:
    albedo, highlight, seen = scene()
    wrong = albedo.flip(1)
    assert highlight_leak(wrong, albedo, highlight, seen).abs().min() > 1e-3
    for faint in (0 * highlight, 0.2 + 0.01 * highlight, 0.5 * albedo):
        assert not highlight_leak(wrong, albedo, faint, seen).any()
    assert not highlight_leak(wrong, albedo, highlight, torch.zeros_like(seen)).any()


def test_an_albedo_without_pattern_is_no_division_by_zero() -> None:
    _, highlight, seen = scene()
    plain = torch.full_like(highlight, 0.4)
    torch.testing.assert_close(highlight_leak(plain + 0.3 * highlight, plain, highlight, seen), torch.full((2,), 0.3))


def test_a_face_turned_away_shows_its_other_vertices() -> None:
    model, face = FaceModel(toy_face_arrays()), random_faces(1)
    frontal = _facing(model, face, 0.0, CAMERA)
    profile = _facing(model, face, 1.2, CAMERA)
    left = model.mean_shape[:, 0] > 40
    right = model.mean_shape[:, 0] < -40
    assert frontal[left].float().mean() > 0.9 and frontal[right].float().mean() > 0.9
    assert abs(profile[left].float().mean() - profile[right].float().mean()) > 0.5


def _facing(model: FaceModel, face: Coefficients, yaw: float, camera: Camera) -> torch.Tensor:
    turned = face._replace(euler_angles=torch.tensor([[0.0, yaw, 0.0]]))
    return facing(model, pose_face(model, turned, camera), camera.position)[0]
