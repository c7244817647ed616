"""Registration undoes what was done to the points."""

import math

import pytest
import torch

from models.camera import rotation_from_euler
from models.registration import similarity_from_points


def test_similarity_undoes_a_random_one_in_three_dimensions() -> None:
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(4, 7, 3, generator=generator, dtype=torch.float64)
    rotation = rotation_from_euler(torch.randn(4, 3, generator=generator, dtype=torch.float64))
    scale, translation = torch.tensor([0.5, 1.0, 2.0, 30.0]).double(), torch.randn(4, 3, generator=generator).double()
    target = scale[:, None, None] * source @ rotation.transpose(1, 2) + translation[:, None]
    found = similarity_from_points(source, target)
    for got, expected in zip(found, (scale, rotation, translation), strict=True):
        torch.testing.assert_close(got, expected)


def test_quarter_turn_in_the_plane_by_hand() -> None:
    source = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    target = torch.tensor([[[5.0, 5.0], [5.0, 7.0], [3.0, 5.0]]])  # (x, y) -> (5 - 2y, 5 + 2x)
    scale, rotation, translation = similarity_from_points(source, target)
    torch.testing.assert_close(scale, torch.tensor([2.0]))
    torch.testing.assert_close(rotation, torch.tensor([[[0.0, -1.0], [1.0, 0.0]]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(translation, torch.tensor([[5.0, 5.0]]))


def test_mirrored_points_give_a_rotation_never_a_reflection() -> None:
    source = torch.tensor([[[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]]])
    rotation = similarity_from_points(source, source * torch.tensor([-1.0, 1.0])).rotation
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(1))


def test_it_is_the_least_squares_optimum() -> None:
    """No nearby similarity has a smaller residual."""
    generator = torch.Generator().manual_seed(1)
    source, target = torch.randn(2, 1, 5, 2, generator=generator, dtype=torch.float64)
    scale, rotation, translation = similarity_from_points(source, target)

    def residual(factor: float, angle: float) -> float:
        cosine, sine = math.cos(angle), math.sin(angle)
        turn = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float64)
        moved = factor * scale * source @ (turn @ rotation).transpose(1, 2)
        return float((moved - moved.mean(1) + target.mean(1) - target).square().sum())

    best = float((scale * source @ rotation.transpose(1, 2) + translation[:, None] - target).square().sum())
    assert best == pytest.approx(residual(1.0, 0.0))
    assert all(best <= residual(f, a) for f, a in [(1.01, 0.0), (0.99, 0.0), (1.0, 0.01), (1.0, -0.01)])


def test_coinciding_points_have_scale_zero() -> None:
    scale, _, translation = similarity_from_points(torch.ones(1, 5, 2), torch.rand(1, 5, 2))
    assert scale.abs() < 1e-6
    assert torch.isfinite(translation).all()
