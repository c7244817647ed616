"""The edge gradient: how a picture changes when the outlines in it move.

A rasterized picture jumps from one surface to the next between two pixel centres, so its derivative with respect to the
vertices misses what happens at outlines. Micro-edges put it back: between two neighbouring pixels that show different
surfaces runs a piece of outline, one pixel long, fixed to the front surface. When that surface moves by a fraction of a
pixel along the pair, that fraction of a pixel's area changes from the colour behind to the colour in front. The forward
pass stays untouched.

Both colours are those at the outline. What the picture knows are those at the two pixel centres, and the outline lies
half a pixel away from them on average. Where a surface turns away its colour changes fast, and half a pixel matters. So
each colour is carried on: by half of its change between the last two pixels of its surface, along the pair. It stays
what it is unless it went the same way between the two pixels before these: a change that turns back is noise, and one
without a forerunner a line drawn on the surface; neither says how to go on. A constant colour, such as that of a mask,
always stays. Nothing is carried on without a search for occlusions, which alone says where a surface ends.

An outline against the background is seen in the ids alone. One inside the picture (the nose before the cheek) is found
by walking along the silhouette edges of the mesh, border edges and those between a triangle seen from the front and one
seen from the back, and keeping the crossings that nothing covers.

The idea of pixel-long edges is that of Rasterized Edge Gradients (arXiv 2405.02508); asking the topology for occlusions
instead of the neighbouring triangles also works where triangles are smaller than pixels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.rasterizer.barycentric import corner_weights, pixel_centres

# What counts as behind, in z/w. Between a near plane at half and a far plane at one and a half times the distance d it
# is d/1500: more than the steps along one surface, less than a nose; ten times more changes little.
DEPTH_TOLERANCE = 1e-3

# From a pixel centre to the outline beside it, on average over where the outline can lie.
CARRIED_PX = 0.5

EdgeBackward = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def attach_edge_gradient(
    image: Shaped[Tensor, "B H W C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
    edge_backward: EdgeBackward,
) -> Shaped[Tensor, "B H W C"]:
    """The same image, whose backward pass calls edge_backward(image, gradient, clip, triangles, ids) for `clip`."""
    result: Tensor = _EdgeGradient.apply(image, clip, triangles, ids, edge_backward)
    return result


class _EdgeGradient(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, image: Tensor, clip: Tensor, triangles: Tensor, ids: Tensor, edge_backward: EdgeBackward
    ) -> Tensor:
        ctx.save_for_backward(image, clip, triangles, ids)
        ctx.edge_backward = edge_backward
        return image.view_as(image)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        image, clip, triangles, ids = ctx.saved_tensors
        to_clip = ctx.edge_backward(image, gradient, clip, triangles, ids) if ctx.needs_input_grad[1] else None
        return gradient, to_clip, None, None, None


def edge_backward(
    image: Float[Tensor, "B H W C"],
    gradient: Float[Tensor, "B H W C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
    occlusion: bool = True,
    carried_px: float = CARRIED_PX,
) -> Float[Tensor, "B V 4"]:
    """Gradient to the clip coordinates from the visible edges of the image, in plain torch, for any device.

    With `occlusion`, colours are carried on by `carried_px` from the pixel centres to the outline. On a GPU every
    `nonzero` waits for the device: how many pairs have an edge decides the size of all that follows.
    """
    marks = occlusion_marks(clip, triangles, ids) if occlusion else None
    to_clip = torch.zeros_like(clip).flatten(0, 1)
    for axis in range(2):
        first, second = pairs(ids, axis)
        front = torch.where(first < 0, 2, 1) * ((first < 0) != (second < 0))
        if marks is not None:
            front = torch.where((first >= 0) & (second >= 0), pairs(marks[:, axis], axis)[0].to(front.dtype), front)
        pictures, rows, columns = front.nonzero(as_tuple=True)
        next_rows, next_columns = rows + axis, columns + 1 - axis
        mean = 0.5 * (gradient[pictures, rows, columns] + gradient[pictures, next_rows, next_columns])
        step = image[pictures, rows, columns] - image[pictures, next_rows, next_columns]
        if marks is not None:
            before, earlier, after, later = (
                _slope(image, front, pictures, rows + far * axis, columns + far * (1 - axis), axis=axis)
                for far in (-1, -2, 1, 2)
            )
            step = step + carried_px * (before * (before * earlier > 0) + after * (after * later > 0))
        push = (mean * step).sum(dim=-1).to(clip.dtype)
        first_is_front = front[pictures, rows, columns] == 1
        at_rows = torch.where(first_is_front, rows, next_rows)
        at_columns = torch.where(first_is_front, columns, next_columns)
        seen = _surface_points(clip, triangles, ids, pictures, at_rows, at_columns)
        # clip_xy / w moves by 2 / size when the surface moves by one pixel.
        scale = push * 0.5 * ids.shape[2 - axis] / (seen.weights * seen.corners[..., 3]).sum(dim=-1)
        change = torch.zeros_like(seen.corners)
        change[..., axis] = scale[:, None] * seen.weights
        change[..., 3] = -change[..., axis] * seen.centres[:, axis, None]
        to_clip.index_add_(0, seen.vertices.flatten(), change.flatten(0, 1))
    return to_clip.view_as(clip)


def occlusion_marks(
    clip: Float[Tensor, "B V 4"], triangles: Int[Tensor, "F 3"], ids: Int[Tensor, "B H W"]
) -> UInt8[Tensor, "B 2 H W"]:
    """Pixel pairs crossed by a visible silhouette edge, both of them covered: 1 first in front, 2 second, else 0.

    Axis 0 pairs a pixel with its right neighbour, axis 1 with the one below; the mark stands at the first pixel.
    """
    height, width = ids.shape[1:]
    screen = screen_positions(clip, (height, width))
    pictures, of_triangle, edges = _silhouette_edges(clip, screen, triangles)
    corners = triangles.long()[of_triangle]
    opposite, start, end = (
        screen[pictures, corners.gather(1, ((edges + shift) % 3)[:, None])[:, 0]] for shift in range(3)
    )
    marks = torch.zeros(len(ids), 2, height, width, dtype=torch.uint8, device=ids.device)
    for axis in range(2):
        edge, rows, columns, depth = _crossings(start, end, ids.shape[1:], axis)
        next_rows, next_columns = rows + axis, columns + 1 - axis
        first_is_front = _side_of_edge(start, end, opposite, axis)[edge] < 0
        behind_rows = torch.where(first_is_front, next_rows, rows)
        behind_columns = torch.where(first_is_front, next_columns, columns)
        picture = pictures[edge]
        behind = _surface_depth(clip, triangles, ids, picture, behind_rows, behind_columns)
        first, second = ids[picture, rows, columns], ids[picture, next_rows, next_columns]
        visible = (first >= 0) & (second >= 0) & (first != second) & (behind >= depth + DEPTH_TOLERANCE)
        place = ((picture * 2 + axis) * height + rows) * width + columns
        mark = torch.where(first_is_front, 1, 2).to(torch.uint8)
        marks.view(-1).scatter_reduce_(0, place[visible], mark[visible], reduce="amax")
    return marks


def triangle_neighbours(triangles: Int[Tensor, "F 3"]) -> Int[Tensor, "F 3"]:
    """The triangle across each edge, -1 at a border; edge k is opposite corner k. Depends on the topology only."""
    ends = torch.stack([triangles[:, [1, 2]], triangles[:, [2, 0]], triangles[:, [0, 1]]], dim=1).long().flatten(0, 1)
    low, high = ends.min(dim=1).values, ends.max(dim=1).values
    keys, order = torch.sort(low * (ends.max() + 1 if len(ends) else 1) + high, stable=True)
    same = (keys[1:] == keys[:-1]).nonzero()[:, 0]
    neighbours = torch.full_like(order, -1)
    neighbours[order[same]] = order[same + 1] // 3
    neighbours[order[same + 1]] = order[same] // 3
    return neighbours.view(-1, 3).to(torch.int32)


def screen_positions(clip: Float[Tensor, "B V 4"], size: tuple[int, int]) -> Float[Tensor, "B V 3"]:
    """Picture coordinates: x and y in pixels, pixel centres at whole numbers, and z/w."""
    height, width = size
    position = clip[..., :3] / clip[..., 3:]
    x, y, z = position.unbind(dim=-1)
    return torch.stack([(x + 1) * 0.5 * width - 0.5, (y + 1) * 0.5 * height - 0.5, z], dim=-1)


def pairs(picture: Shaped[Tensor, "B H W"], axis: int) -> tuple[Tensor, Tensor]:
    """First and second pixels of all neighbouring pairs along an axis: 0 to the right, 1 downward."""
    if axis == 0:
        return picture[:, :, :-1], picture[:, :, 1:]
    return picture[:, :-1], picture[:, 1:]


def _slope(image: Tensor, front: Tensor, pictures: Tensor, rows: Tensor, columns: Tensor, *, axis: int) -> Tensor:
    """Change of the image from pixels to the next ones along an axis; zero across an edge and beyond the picture."""
    last_row, last_column = front.shape[1] - 1, front.shape[2] - 1
    inside = (rows >= 0) & (rows <= last_row) & (columns >= 0) & (columns <= last_column)
    rows, columns = rows.clamp(0, last_row), columns.clamp(0, last_column)
    inside &= front[pictures, rows, columns] == 0
    slope = image[pictures, rows + axis, columns + 1 - axis] - image[pictures, rows, columns]
    return torch.where(inside[:, None], slope, 0)


class _SurfacePoints(NamedTuple):
    vertices: Int[Tensor, "N 3"]  # of the triangle seen, numbered through the batch
    corners: Float[Tensor, "N 3 4"]
    centres: Float[Tensor, "N 2"]
    weights: Float[Tensor, "N 3"]


class _Crossings(NamedTuple):
    edge: Int[Tensor, "N"]  # number of the crossing edge
    rows: Int[Tensor, "N"]  # of the first pixel of the pair
    columns: Int[Tensor, "N"]
    depth: Float[Tensor, "N"]  # z/w of the edge there


def _surface_points(
    clip: Tensor, triangles: Tensor, ids: Tensor, pictures: Tensor, rows: Tensor, columns: Tensor
) -> _SurfacePoints:
    """What pixels see; a pixel without surface sees triangle 0."""
    seen = ids[pictures, rows, columns].long().clamp_min(0)
    vertices = triangles[seen].long() + (pictures * clip.shape[1])[:, None]
    corners = clip.reshape(-1, 4)[vertices]
    centres = pixel_centres(rows, columns, (ids.shape[1], ids.shape[2])).to(clip.dtype)
    return _SurfacePoints(vertices, corners, centres, corner_weights(corners, centres))


def _surface_depth(
    clip: Tensor, triangles: Tensor, ids: Tensor, pictures: Tensor, rows: Tensor, columns: Tensor
) -> Tensor:
    """z/w of the surface seen by pixels."""
    seen = _surface_points(clip, triangles, ids, pictures, rows, columns)
    return (seen.weights * seen.corners[..., 2]).sum(dim=-1) / (seen.weights * seen.corners[..., 3]).sum(dim=-1)


def _silhouette_edges(clip: Tensor, screen: Tensor, triangles: Tensor) -> tuple[Tensor, ...]:
    """Picture, triangle and edge number of every silhouette edge; an outline shared by two triangles comes once."""
    corners = screen[:, triangles.long(), :2]
    first, second = corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
    area = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    before_camera = (clip[..., 3] > 0)[:, triangles.long()].all(dim=-1)
    facing = torch.where(before_camera, (area > 0).to(torch.int8) - (area < 0).to(torch.int8), 0)  # (B, F)
    neighbours = triangle_neighbours(triangles).long()
    beyond = torch.where(neighbours >= 0, facing[:, neighbours], 0)  # (B, F, 3)
    later = neighbours > torch.arange(len(triangles), device=triangles.device)[:, None]
    is_silhouette = (facing != 0)[..., None] & (beyond != facing[..., None]) & ((beyond == 0) | later)
    return is_silhouette.nonzero(as_tuple=True)


def _side_of_edge(start: Tensor, end: Tensor, opposite: Tensor, axis: int) -> Tensor:
    """Along an axis, how far the third corner lies beyond the line through an edge: negative for before it."""
    along, across = axis, 1 - axis
    turn, third = end - start, opposite - start
    return third[:, along] - third[:, across] * turn[:, along] / turn[:, across]


def _crossings(start: Tensor, end: Tensor, size: torch.Size, axis: int) -> _Crossings:
    """Where edges (N, 3) cross the lines through pixel centres along an axis, between two pixels of the picture."""
    along, across = axis, 1 - axis
    lines, pixels = size[axis], size[1 - axis]
    lowest, highest = torch.minimum(start, end)[:, across], torch.maximum(start, end)[:, across]
    first_line = lowest.clamp(0, lines).nan_to_num().ceil().long()
    counts = highest.clamp(0, lines).nan_to_num().ceil().long() - first_line
    edge = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    line = torch.arange(len(edge), device=counts.device) - (counts.cumsum(0) - counts - first_line)[edge]
    turn = (end - start)[edge]
    fraction = (line - start[edge, across]) / turn[:, across]
    place = start[edge, along] + fraction * turn[:, along]
    depth = start[edge, 2] + fraction * turn[:, 2]
    inside = (place >= 0) & (place < pixels - 1)
    line, pixel = line[inside], place[inside].long()
    rows, columns = (line, pixel) if axis == 0 else (pixel, line)
    return _Crossings(edge[inside], rows, columns, depth[inside])
