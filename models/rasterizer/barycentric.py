"""Perspective-correct weights of a triangle's corners, in torch, for any device."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def corner_weights(corners: Float[Tensor, "N 3 4"], centres: Float[Tensor, "N 2"]) -> Float[Tensor, "N 3"]:
    """Weights of the corners, in clip coordinates, at pixel centres in -1..1; they are >= 0 and add up to one.

    Each weight is proportional to the area that the other two corners span with the pixel, in homogeneous coordinates.
    A centre that only rounding brought into a needle-shaped triangle lies outside of it; the clamp keeps such weights
    from extrapolating without bound. A triangle without area weighs its corners equally.
    """
    offsets = corners[..., :2] - centres[:, None] * corners[..., 3:]
    x, y = offsets.unbind(dim=-1)
    areas = x.roll(-1, dims=-1) * y.roll(-2, dims=-1) - y.roll(-1, dims=-1) * x.roll(-2, dims=-1)
    inside = (areas * torch.sign(areas.sum(dim=-1, keepdim=True))).clamp_min(0)
    total = inside.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, inside / torch.where(total > 0, total, 1), 1 / 3)


def pixel_centres(rows: Int[Tensor, "N"], columns: Int[Tensor, "N"], size: tuple[int, int]) -> Float[Tensor, "N 2"]:
    """Centres of pixels in -1..1, x right and y down, float64; `size` is (height, width)."""
    height, width = size
    return torch.stack([(2 * columns.double() + 1) / width - 1, (2 * rows.double() + 1) / height - 1], dim=-1)
