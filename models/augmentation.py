"""Random changes that make networks trained on synthetic faces hold on photographs; all from a generator."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from models.landmarks import MIRRORED

LUMA = (0.299, 0.587, 0.114)


class Movements(NamedTuple):
    """Random mirror images and similarities of a batch of square pictures.

    The maps act on coordinates from -1 to 1 between the picture's borders, changed from original.
    """

    affine: Float[Tensor, "B 2 3"]
    mirrored: Bool[Tensor, "B"]


def random_movements(
    count: int, generator: torch.Generator, *, rotation_degrees: float, log_scale: float, shift: float
) -> Movements:
    """Half of them mirrored; rotations, logarithms of scales and shifts (of half a side) uniform within ± the bound."""
    rotation, logarithm, *shifts = (
        bound * _uniform(count, generator) for bound in _bounds(rotation_degrees, log_scale, shift)
    )
    mirrored = torch.rand(count, generator=generator) < 0.5
    cosine, sine = logarithm.exp() * rotation.cos(), logarithm.exp() * rotation.sin()
    sign = 1 - 2 * mirrored.float()
    rows = [torch.stack([sign * cosine, -sine, shifts[0]], -1), torch.stack([sign * sine, cosine, shifts[1]], -1)]
    return Movements(torch.stack(rows, dim=1), mirrored)


def _bounds(rotation_degrees: float, log_scale: float, shift: float) -> tuple[float, ...]:
    return math.radians(rotation_degrees), log_scale, shift, shift


def move_pictures(picture: Float[Tensor, "B C H W"], movements: Movements, mode: str) -> Float[Tensor, "B C H W"]:
    """The moved pictures; zero (black, background) where the original does not reach. `mode` is bilinear or nearest."""
    linear, translation = movements.affine[..., :2], movements.affine[..., 2:]
    inverse = torch.linalg.inv(linear)
    grid = affine_grid(torch.cat([inverse, -inverse @ translation], -1), list(picture.shape), align_corners=False)
    return grid_sample(picture, grid.to(picture.device), mode=mode, align_corners=False)


def move_landmarks(landmarks: Float[Tensor, "B 68 2"], movements: Movements, size: int) -> Float[Tensor, "B 68 2"]:
    """The 68 landmarks, pixels of a picture of `size`, after the movement; a mirrored face swaps left and right."""
    affine = movements.affine.to(landmarks.device)
    centred = 2 * landmarks / size - 1
    moved = (centred @ affine[..., :2].transpose(1, 2) + affine[:, None, :, 2] + 1) * size / 2
    swapped = moved[:, list(MIRRORED)]
    return torch.where(movements.mirrored.to(landmarks.device)[:, None, None], swapped, moved)


def change_colours(picture: Float[Tensor, "B 3 H W"], generator: torch.Generator) -> Float[Tensor, "B 3 H W"]:
    """Pictures, sRGB in 0..1, with another exposure, contrast, white balance and saturation, some blurred or noisy."""
    count = len(picture)

    def bounded(bound: float, channels: int = 1) -> Tensor:
        return bound * _uniform((count, channels, 1, 1), generator).to(picture.device)

    brightened = picture.clamp(0, 1) ** bounded(0.6).exp() * bounded(0.25).exp() * bounded(0.12, 3).exp()
    grey = (brightened * picture.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    coloured = grey + (brightened - grey) * (1 + bounded(0.7)).clamp(0.0, 1.5)
    mean = coloured.mean(dim=(1, 2, 3), keepdim=True)
    contrasted = mean + (coloured - mean) * bounded(0.35).exp()
    blurred = _blurred(contrasted, torch.rand((count, 1, 1, 1), generator=generator).to(picture.device))
    noise = torch.randn(picture.shape, generator=generator).to(picture.device)
    return (blurred + 0.03 * bounded(1.0).clamp_min(0) * noise).clamp(0, 1)


def _blurred(picture: Float[Tensor, "B C H W"], chance: Float[Tensor, "B 1 1 1"]) -> Float[Tensor, "B C H W"]:
    """A third of the pictures at about half or a third of their resolution."""
    height, width = picture.shape[-2:]
    coarse = [
        interpolate(interpolate(picture, scale_factor=factor, mode="area"), (height, width), mode="bilinear")
        for factor in (0.5, 0.34)
    ]
    return torch.where(chance < 0.2, coarse[0], torch.where(chance < 0.33, coarse[1], picture))


def random_occlusions(count: int, size: int, generator: torch.Generator) -> Bool[Tensor, "B 1 S S"]:
    """Where something covers a picture: a turned rectangle or ellipse on half of them, nothing on the others."""
    centre, angle = _uniform((count, 2), generator), math.pi * _uniform(count, generator)
    extent = 0.08 + 0.3 * torch.rand((count, 2), generator=generator)  # half sides, the picture being 2 wide
    axis = (torch.arange(size) + 0.5) * 2 / size - 1
    offset = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)[None] - centre[:, None, None]  # (B, S, S, 2)
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    along = (cosine * offset[..., 0] + sine * offset[..., 1]) / extent[:, 0, None, None]
    across = (cosine * offset[..., 1] - sine * offset[..., 0]) / extent[:, 1, None, None]
    rectangle = torch.maximum(along.abs(), across.abs()) < 1
    ellipse = along.square() + across.square() < 1
    kind = torch.rand((count, 1, 1), generator=generator)
    covered = torch.where(kind < 0.25, rectangle, torch.where(kind < 0.5, ellipse, torch.zeros_like(ellipse)))
    return covered[:, None]


def cover(
    picture: Float[Tensor, "B 3 H W"], covered: Bool[Tensor, "B 1 H W"], generator: torch.Generator
) -> Float[Tensor, "B 3 H W"]:
    """Pictures with something of one random colour and coarse texture where `covered`."""
    count, _, height, width = picture.shape
    texture = 0.1 * torch.randn((count, 3, 8, 8), generator=generator) + torch.rand(
        (count, 3, 1, 1), generator=generator
    )
    thing = interpolate(texture, (height, width), mode="bilinear").clamp(0, 1).to(picture.device)
    return torch.where(covered.to(picture.device), thing, picture)


def _uniform(shape: int | tuple[int, ...], generator: torch.Generator) -> Tensor:
    return 2 * torch.rand(shape, generator=generator) - 1
