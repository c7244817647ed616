"""Pixel-pair antialiasing: the other way to a gradient of outlines, for comparison; plain torch, any device.

Written from the published description: Laine et al., "Modular Primitives for High-Performance Differentiable
Rendering", ACM Transactions on Graphics 39 (6), 2020, the section on antialiasing. In our own words:

1. Look at every two neighbouring pixels, side by side or one above the other, that show different triangles.
2. Take the triangle that is nearer to the camera, and of its edges the one that is crossed on the way from the centre
   of its own pixel to the centre of the other.
3. Go on only if this edge is a silhouette: it has one triangle, or two of which one faces the camera and one does not.
   And only if it runs rather across the pair than along it; the other kind is left to the other kind of pair.
4. Taking the edge for perpendicular to the pair, the crossing says how far the nearer surface reaches. Half way, at the
   common side of the pixels, nothing happens. Beyond it the other pixel receives that part of the nearer colour, up to
   one half; before it the nearer pixel receives part of the other colour.

The blended picture depends on where the edge runs, so its derivative moves the two ends of the edge.

Only a triangle that some pixel shows is ever looked at in step 2. A silhouette triangle that covers no pixel centre has
no say, however long the outline that it carries: that is what the comparison is about. nvdiffrast has this operator
too; here it is the same on every device.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.rasterizer import interpolate
from models.rasterizer.edges import pairs, screen_positions, triangle_neighbours

# Vertices are rounded before they are drawn, so a centre can lie a little outside of the triangle that it shows. Wide
# enough never to lose an edge to that; ten times less changes no error of the benchmark in its second digit.
TOLERANCE_PX = 1 / 16


class Crossings(NamedTuple):
    """Silhouette edges between two neighbouring pixels, one entry a pair; pixels are numbered through the batch."""

    front: Int[Tensor, "N"]  # pixel that shows the triangle with the edge
    behind: Int[Tensor, "N"]
    place: Float[Tensor, "N"]  # from 0 at the centre of the front pixel to 1 at that of the other


def antialias(
    image: Float[Tensor, "B H W C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
) -> Float[Tensor, "B H W C"]:
    """The image with blended outlines, differentiable with respect to image and clip; all of the mesh has w > 0."""
    found = crossings(clip, triangles, ids)
    pixels = image.flatten(0, 2)
    step = pixels[found.front] - pixels[found.behind]
    reach = (found.place - 0.5).unsqueeze(-1).to(image.dtype)  # beyond the common side of the two pixels
    blended = pixels.index_add(0, found.behind, reach.clamp_min(0) * step)
    return blended.index_add(0, found.front, reach.clamp_max(0) * step).view_as(image)


def crossings(clip: Float[Tensor, "B V 4"], triangles: Int[Tensor, "F 3"], ids: Int[Tensor, "B H W"]) -> Crossings:
    """Where silhouette edges of shown triangles pass between neighbouring pixel centres; place is differentiable."""
    screen = screen_positions(clip, (ids.shape[1], ids.shape[2]))[..., :2]
    outlines = silhouettes(screen.detach(), triangles)
    depth = _depth(clip.detach(), triangles, ids)
    numbers = torch.arange(ids.numel(), device=ids.device).view(ids.shape)
    parts = []
    for axis in range(2):  # 0: side by side, 1: one above the other
        first, second = (pixels.flatten() for pixels in pairs(numbers, axis))
        differ = ids.flatten()[first] != ids.flatten()[second]
        first, second = first[differ], second[differ]
        first_is_front = depth[first] <= depth[second]
        front, behind = torch.where(first_is_front, first, second), torch.where(first_is_front, second, first)
        parts.append(_exits(screen, triangles, ids, outlines, front=front, behind=behind, axis=axis))
    return Crossings(*(torch.cat(column) for column in zip(*parts, strict=True)))


def silhouettes(screen: Float[Tensor, "B V 2"], triangles: Int[Tensor, "F 3"]) -> Bool[Tensor, "B F 3"]:
    """Whether an edge, number k opposite corner k, is a silhouette: a border, or its two triangles face other ways."""
    a, b, c = screen[:, triangles.long()].unbind(dim=2)
    (bx, by), (cx, cy) = (b - a).unbind(dim=-1), (c - a).unbind(dim=-1)
    facing = torch.sign(bx * cy - by * cx)  # (B, F)
    neighbours = triangle_neighbours(triangles).long()
    return (neighbours < 0) | (facing[:, neighbours] != facing[..., None])


def _exits(
    screen: Tensor,
    triangles: Tensor,
    ids: Tensor,
    outlines: Tensor,
    *,
    front: Tensor,
    behind: Tensor,
    axis: int,
) -> Crossings:
    """The pairs in which the way from the front pixel leaves its triangle through a silhouette that runs across."""
    height, width = ids.shape[1:]
    picture, triangle = front // (height * width), ids.flatten()[front].long()
    kept = outlines[picture, triangle].any(dim=-1)
    front, behind, picture, triangle = front[kept], behind[kept], picture[kept], triangle[kept]
    corners = triangles.long()[triangle]  # (N, 3)
    ends = torch.stack([corners.roll(-1, dims=1), corners.roll(-2, dims=1)], dim=-1)  # (N, 3 edges, 2)
    origin = torch.stack([front % width, front // width % height], dim=-1)  # (N, 2), x and y
    direction = torch.sign(behind - front)

    with torch.no_grad():
        edges = screen[picture[:, None, None], ends] - origin[:, None, None]  # (N, 3 edges, 2 ends, 2)
        place = direction[:, None] * _crossing(edges, axis)
        turn = (edges[:, :, 1] - edges[:, :, 0]).abs()
        straddles = (edges[:, :, 0, 1 - axis] > 0) != (edges[:, :, 1, 1 - axis] > 0)
        # The way enters and leaves the triangle; the exit is the farther of the two crossings.
        place, exit_edge = torch.where(straddles, place, -torch.inf).max(dim=1)
        pick = torch.arange(len(exit_edge), device=exit_edge.device), exit_edge
        runs_across = turn[..., 1 - axis][pick] >= turn[..., axis][pick]
        between = (place >= -TOLERANCE_PX) & (place <= 1 + TOLERANCE_PX)
        chosen = outlines[picture, triangle, exit_edge] & runs_across & between

    edge = screen[picture[chosen, None], ends[pick][chosen]] - origin[chosen, None]
    return Crossings(front[chosen], behind[chosen], direction[chosen] * _crossing(edge, axis))


def _crossing(edges: Float[Tensor, "... 2 2"], axis: int) -> Float[Tensor, "..."]:
    """Where lines through two points (x, y) cut the axis through the origin: 0 the x axis, 1 the y axis."""
    along, across = edges[..., axis], edges[..., 1 - axis]
    return (along[..., 0] * across[..., 1] - along[..., 1] * across[..., 0]) / (across[..., 1] - across[..., 0])


def _depth(clip: Tensor, triangles: Tensor, ids: Tensor) -> Tensor:
    """z/w of every pixel of the batch, infinite where there is no surface."""
    z, w = interpolate(clip[..., 2:], clip, triangles, ids).flatten(0, 2).unbind(dim=-1)
    return torch.where(ids.flatten() >= 0, z / w, torch.inf)
