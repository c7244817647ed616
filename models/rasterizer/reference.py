"""Readable rasterizer: every pixel against every triangle, float64, gradients by autograd. For tests.

Written from the definition (screen-space barycentric coordinates, then the division by w) and not from the formulas of
the fast back ends, so that an error in those cannot hide in both.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def rasterize(
    clip: Float[Tensor, "B V 4"], triangles: Int[Tensor, "F 3"], size: tuple[int, int]
) -> Int[Tensor, "B H W"]:
    """Triangle with the smallest z/w at each pixel centre, -1 where there is none; no vertex rounding.

    A centre exactly on an edge belongs to all triangles at that edge; the nearest, then the first, is named.
    """
    centres = _centres(size).flatten(0, 1)
    pictures = []
    for one in clip.double():
        corners = one[triangles.long()]  # (F, 3, 4)
        barycentric = _screen_barycentric(corners[None], centres[:, None])  # (P, F, 3)
        usable = (corners[..., 3] > 0).all(dim=-1) & corners.isfinite().all(dim=(-1, -2))
        depth = (barycentric * (corners[..., 2] / corners[..., 3])).sum(dim=-1)
        depth = torch.where((barycentric >= 0).all(dim=-1) & usable, depth, torch.inf)
        nearest, ids = depth.min(dim=-1)
        pictures.append(torch.where(nearest < torch.inf, ids, -1).view(size))
    return torch.stack(pictures).to(torch.int32)


def interpolate(
    attributes: Float[Tensor, "B V C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
) -> Float[Tensor, "B H W C"]:
    """Attributes at the pixels: attribute / w and 1 / w are linear on the screen; their quotient is the attribute."""
    pictures, rows, columns = (ids >= 0).nonzero(as_tuple=True)
    vertices = triangles.long()[ids[pictures, rows, columns].long()]  # (N, 3)
    corners = clip[pictures[:, None], vertices].double()
    centres = _centres((ids.shape[1], ids.shape[2]))[rows, columns]
    shares = _screen_barycentric(corners, centres) / corners[..., 3]
    weights = shares / shares.sum(dim=-1, keepdim=True)
    values = (weights[..., None] * attributes[pictures[:, None], vertices].double()).sum(dim=1)
    picture = values.new_zeros(*ids.shape, attributes.shape[2])
    return picture.index_put((pictures, rows, columns), values)


def _centres(size: tuple[int, int]) -> Tensor:
    """Pixel centres (H, W, 2) in -1..1, x right, y down."""
    height, width = size
    y, x = torch.meshgrid(
        (torch.arange(height).double() + 0.5) * 2 / height - 1,
        (torch.arange(width).double() + 0.5) * 2 / width - 1,
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1)


def _screen_barycentric(corners: Tensor, points: Tensor) -> Tensor:
    """Barycentric coordinates (..., 3), linear on the screen, of points (..., 2) in triangles (..., 3, 4)."""
    screen = corners[..., :2] / corners[..., 3:]
    areas = [
        _area(points, screen[..., 1, :], screen[..., 2, :]),
        _area(screen[..., 0, :], points, screen[..., 2, :]),
        _area(screen[..., 0, :], screen[..., 1, :], points),
    ]
    return torch.stack(areas, dim=-1) / _area(screen[..., 0, :], screen[..., 1, :], screen[..., 2, :])[..., None]


def _area(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Twice the signed area of a triangle on the screen."""
    first, second = b - a, c - a
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
