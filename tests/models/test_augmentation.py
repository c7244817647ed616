"""Augmentation moves pictures and landmarks alike, and depends on its generator alone."""

import torch

from models.augmentation import (
    Movements,
    change_colours,
    cover,
    move_landmarks,
    move_pictures,
    random_movements,
    random_occlusions,
)
from models.landmarks import MIRRORED


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_pictures_and_landmarks_move_together() -> None:
    """A bright spot stays under its landmark; bilinear sampling may shift its centre of mass a little."""
    size, count = 64, 8
    movements = random_movements(count, _generator(), rotation_degrees=20.0, log_scale=0.2, shift=0.1)
    assert 0 < movements.mirrored.sum() < count
    points = torch.tensor([24.0, 40.0]).expand(count, 68, 2)
    centres = torch.arange(size) + 0.5
    x, y = torch.meshgrid(centres, centres, indexing="xy")
    spot = torch.exp(-((x - 24) ** 2 + (y - 40) ** 2) / 18)[None, None].expand(count, 1, size, size)
    moved = move_pictures(spot.contiguous(), movements, mode="bilinear")[:, 0]
    mass = moved.sum(dim=(1, 2))
    found = torch.stack([(moved * x).sum(dim=(1, 2)) / mass, (moved * y).sum(dim=(1, 2)) / mass], -1)
    torch.testing.assert_close(move_landmarks(points, movements, size)[:, 0], found, atol=0.05, rtol=0)


def test_mirroring_swaps_left_and_right_landmarks() -> None:
    mirror = Movements(torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]]), torch.tensor([True]))
    points = torch.rand(1, 68, 2, generator=_generator()) * 100
    moved = move_landmarks(points, mirror, 100)
    torch.testing.assert_close(moved[0, 0], torch.stack([100 - points[0, MIRRORED[0], 0], points[0, MIRRORED[0], 1]]))
    torch.testing.assert_close(move_landmarks(moved, mirror, 100), points)


def test_colours_stay_in_range_and_repeat_with_the_seed() -> None:
    picture = torch.rand(6, 3, 32, 32, generator=_generator())
    changed = change_colours(picture, _generator())
    assert changed.min() >= 0 and changed.max() <= 1
    assert (changed - picture).abs().mean() > 0.02
    torch.testing.assert_close(changed, change_colours(picture, _generator()))


def test_about_half_of_the_pictures_are_partly_covered() -> None:
    covered = random_occlusions(200, 32, _generator())
    touched = covered.any(dim=-1).any(dim=-1).float().mean()
    assert 0.3 < touched < 0.6
    picture = torch.zeros(200, 3, 32, 32)
    result = cover(picture, covered, _generator())
    assert result[~covered.expand_as(result)].abs().max() == 0
    assert result[covered.expand_as(result)].mean() > 0.3
