"""Perspective-correct weights of a triangle's corners, in torch, for any device."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
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


class SurfacePoints(NamedTuple):
    """What the pixels of a batch see, picture after picture, row after row."""

    covered: Bool[Tensor, "N"]
    vertices: Int[Tensor, "N 3"]  # of the triangle seen, numbered through the batch
    corners: Float[Tensor, "N 3 4"]
    centres: Float[Tensor, "N 2"]
    weights: Float[Tensor, "N 3"]


def surface_points(
    clip: Float[Tensor, "B V 4"], triangles: Int[Tensor, "F 3"], ids: Int[Tensor, "B H W"]
) -> SurfacePoints:
    """The surface at every pixel; there must be a triangle. A pixel without surface has corners of ones.

    As many points as pixels, covered or not: a list of the covered ones has a length that a GPU would have to tell the
    host. A vertex that is not a number cannot reach them, and their triangles are spread over the mesh, so that zeros
    added to the vertices of a large background do not wait for each other.
    """
    height, width = ids.shape[1:]
    number = torch.arange(ids.numel(), device=ids.device)
    picture, rows, columns = number // (height * width), number // width % height, number % width
    covered = ids.flatten() >= 0
    seen = torch.where(covered, ids.flatten().long(), number % len(triangles))
    vertices = triangles[seen].long() + (picture * clip.shape[1])[:, None]
    corners = torch.where(covered[:, None, None], clip.reshape(-1, 4)[vertices], 1)
    centres = pixel_centres(rows, columns, (height, width)).to(clip.dtype)
    return SurfacePoints(covered, vertices, corners, centres, corner_weights(corners, centres))
