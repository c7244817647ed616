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
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.rasterizer.barycentric import surface_points

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

    With `occlusion`, colours are carried on by `carried_px` from the pixel centres to the outline. All pairs of pixels
    are computed, and those without an edge masked: how many have one, a GPU would have to tell the host.
    """
    to_clip = torch.zeros_like(clip).flatten(0, 1)
    if not len(triangles):
        return to_clip.view_as(clip)
    seen = surface_points(clip, triangles, ids)
    z, w = (seen.weights[..., None] * seen.corners[..., 2:]).sum(dim=1).unbind(dim=-1)
    marks = occlusion_marks(clip, triangles, ids, (z / w).view(ids.shape)) if occlusion else None
    pushes = [
        _pushes(image, gradient, ids, axis, None if marks is None else marks[:, axis], carried_px) for axis in range(2)
    ]
    # clip_xy / w moves by 2 / size when the surface moves by one pixel.
    scaled = [push.flatten().to(clip.dtype) * (0.5 * ids.shape[2 - axis]) / w for axis, push in enumerate(pushes)]
    change = torch.stack(scaled, dim=-1)[:, None] * seen.weights[..., None]  # (N, 3, 2)
    to_w = -(change * seen.centres[:, None]).sum(dim=-1, keepdim=True)
    change = torch.cat([change, torch.zeros_like(to_w), to_w], dim=-1)
    return to_clip.index_add_(0, seen.vertices.flatten(), change.flatten(0, 1)).view_as(clip)


def occlusion_marks(
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
    depth: Float[Tensor, "B H W"],
) -> UInt8[Tensor, "B 2 H W"]:
    """Pixel pairs crossed by a visible silhouette edge, both of them covered: 1 first in front, 2 second, else 0.

    Axis 0 pairs a pixel with its right neighbour, axis 1 with the one below; the mark stands at the first pixel.
    `depth` is z/w of what the pixels see.
    """
    screen = screen_positions(clip, (ids.shape[1], ids.shape[2]))
    is_silhouette = _silhouette_edges(clip, screen, triangles).flatten()
    corners = screen[:, triangles.long()]  # (B, F, 3, 3)
    opposite, start, end = (corners.roll(-shift, dims=2).flatten(0, 2) for shift in range(3))
    marks = torch.zeros(len(ids), 2, *ids.shape[1:], dtype=torch.uint8, device=ids.device)
    for axis in range(2):
        if min(pairs(ids, axis)[0].shape) == 0:
            continue
        crossing = _crossings(is_silhouette, start, end, ids.shape, axis)
        picture = crossing.edge // (3 * len(triangles))
        first_is_front = _side_of_edge(start, end, opposite, axis)[crossing.edge] < 0
        place = (picture * ids.shape[1] + crossing.rows) * ids.shape[2] + crossing.columns
        next_place = place + (ids.shape[2] if axis else 1)
        behind = depth.flatten()[torch.where(first_is_front, next_place, place)]
        first, second = ids.flatten()[place], ids.flatten()[next_place]
        in_front = crossing.exists & (behind >= crossing.depth + DEPTH_TOLERANCE)
        visible = in_front & (first >= 0) & (second >= 0) & (first != second)
        mark = torch.where(first_is_front, 1, 2) * visible
        # What is not visible stays anywhere, if not all in one place.
        place = torch.where(visible, place, torch.arange(len(place), device=place.device))
        found = torch.zeros(ids.numel(), dtype=torch.uint8, device=ids.device)
        marks[:, axis] = found.scatter_reduce_(0, place, mark.to(torch.uint8), reduce="amax").view_as(ids)
    return marks


def triangle_neighbours(triangles: Int[Tensor, "F 3"]) -> Int[Tensor, "F 3"]:
    """The triangle across each edge, -1 at a border; edge k is opposite corner k. Depends on the topology only."""
    start, end = (triangles.long().roll(-shift, dims=1).flatten() for shift in (1, 2))
    low, high = torch.minimum(start, end), torch.maximum(start, end)
    keys, order = torch.sort(low * (high.max() + 1 if len(high) else 1) + high, stable=True)
    same, border = keys[1:] == keys[:-1], order.new_full((1,), -1)
    before = torch.cat([border, torch.where(same, order[:-1] // 3, -1)])
    after = torch.cat([torch.where(same, order[1:] // 3, -1), border])
    neighbours = torch.empty_like(order).scatter_(0, order, torch.where(before >= 0, before, after))
    return neighbours.view(-1, 3).to(torch.int32)


def screen_positions(clip: Float[Tensor, "B V 4"], size: tuple[int, int]) -> Float[Tensor, "B V 3"]:
    """Picture coordinates: x and y in pixels, pixel centres at whole numbers, and z/w."""
    height, width = size
    position = clip[..., :3] / clip[..., 3:]
    x, y, z = position.unbind(dim=-1)
    return torch.stack([(x + 1) * 0.5 * width - 0.5, (y + 1) * 0.5 * height - 0.5, z], dim=-1)


def pairs(picture: Shaped[Tensor, "B H W *C"], axis: int) -> tuple[Tensor, Tensor]:
    """First and second pixels of all neighbouring pairs along an axis: 0 to the right, 1 downward."""
    if axis == 0:
        return picture[:, :, :-1], picture[:, :, 1:]
    return picture[:, :-1], picture[:, 1:]


def _pushes(
    image: Tensor, gradient: Tensor, ids: Tensor, axis: int, marks: Tensor | None, carried_px: float
) -> Float[Tensor, "B H W"]:
    """What it changes that the surface seen by each pixel moves by a pixel along an axis: only edges count."""
    front = _fronts(ids, marks, axis)
    (here, there), changes = pairs(image, axis), pairs(gradient, axis)
    step = here - there
    if marks is not None:
        step = step + carried_px * _carried(torch.where(front[..., None] == 0, there - here, 0), axis)
    push = (0.5 * (changes[0] + changes[1]) * step).sum(dim=-1)
    of_first, of_second = torch.where(front == 1, push, 0), torch.where(front == 2, push, 0)
    return _padded(of_first, axis, 0, 1) + _padded(of_second, axis, 1, 0)


def _fronts(ids: Tensor, marks: Tensor | None, axis: int) -> Int[Tensor, "B _ _"]:
    """Which pixel of each pair along an axis shows the surface in front: 1 the first, 2 the second, 0 no edge."""
    first, second = pairs(ids, axis)
    front = torch.where(first < 0, 2, 1) * ((first < 0) != (second < 0))
    if marks is None:
        return front
    return torch.where((first >= 0) & (second >= 0), pairs(marks, axis)[0].to(front.dtype), front)


def _carried(slope: Float[Tensor, "B _ _ C"], axis: int) -> Float[Tensor, "B _ _ C"]:
    """Change of the image on both sides of each pair, as far as it goes on; `slope` is that between the two pixels."""
    padded = _padded(slope, axis, 2, 2)
    earlier, before, _, after, later = (padded.narrow(2 - axis, far, slope.shape[2 - axis]) for far in range(5))
    return before * (before * earlier > 0) + after * (after * later > 0)


def _padded(values: Shaped[Tensor, "B H W *C"], axis: int, before: int, after: int) -> Tensor:
    """The same with zeros before and after along an axis."""
    behind_axis = values.ndim - 3 + axis
    return torch.nn.functional.pad(values, [0, 0] * behind_axis + [before, after])


class _Crossings(NamedTuple):
    """Where edges cross lines through pixel centres; a list of fixed length, of which the first ones are used."""

    exists: Bool[Tensor, "N"]
    edge: Int[Tensor, "N"]  # number of the crossing edge
    rows: Int[Tensor, "N"]  # of the first pixel of the pair
    columns: Int[Tensor, "N"]
    depth: Float[Tensor, "N"]  # z/w of the edge there


def _silhouette_edges(clip: Tensor, screen: Tensor, triangles: Tensor) -> Bool[Tensor, "B F 3"]:
    """Whether an edge is a silhouette; of two triangles that share an outline the first has it."""
    corners = screen[:, triangles.long(), :2]
    first, second = corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
    area = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    before_camera = (clip[..., 3] > 0)[:, triangles.long()].all(dim=-1)
    facing = torch.where(before_camera, (area > 0).to(torch.int8) - (area < 0).to(torch.int8), 0)  # (B, F)
    neighbours = triangle_neighbours(triangles).long()
    beyond = torch.where(neighbours >= 0, facing[:, neighbours], 0)  # (B, F, 3)
    later = neighbours > torch.arange(len(triangles), device=triangles.device)[:, None]
    return (facing != 0)[..., None] & (beyond != facing[..., None]) & ((beyond == 0) | later)


def _side_of_edge(start: Tensor, end: Tensor, opposite: Tensor, axis: int) -> Tensor:
    """Along an axis, how far the third corner lies beyond the line through an edge: negative for before it."""
    along, across = axis, 1 - axis
    turn, third = end - start, opposite - start
    return third[:, along] - third[:, across] * turn[:, along] / turn[:, across]


def _crossings(wanted: Tensor, start: Tensor, end: Tensor, shape: torch.Size, axis: int) -> _Crossings:
    """Where the wanted edges (N, 3) cross lines through pixel centres along an axis, between two pixels of a picture.

    A face has a tenth as many crossings as pixels. There is room for as many as pixels, or as the edges could have:
    how many there are, a GPU would have to tell the host.
    """
    along, across = axis, 1 - axis
    lines, pixels = shape[1 + axis], shape[2 - axis]
    lowest, highest = torch.minimum(start, end)[:, across], torch.maximum(start, end)[:, across]
    first_line = lowest.clamp(0, lines).nan_to_num().ceil().long()
    counts = (highest.clamp(0, lines).nan_to_num().ceil().long() - first_line) * wanted
    last = counts.cumsum(0)
    room = min(shape.numel(), lines * len(counts))
    torch._assert_async(last[-1] <= room, "more outlines than pixels: draw a larger picture, or without occlusion")
    entry = torch.arange(room, device=counts.device)
    edge = torch.searchsorted(last, entry, right=True).clamp_max(len(counts) - 1)
    line = (entry - (last - counts - first_line)[edge]).clamp(0, lines - 1)
    turn = (end - start)[edge]
    fraction = (line - start[edge, across]) / turn[:, across]
    place = start[edge, along] + fraction * turn[:, along]
    exists = (entry < last[-1]) & (place >= 0) & (place < pixels - 1)
    pixel = torch.where(exists, place, 0).long()
    rows, columns = (line, pixel) if axis == 0 else (pixel, line)
    return _Crossings(exists, edge, rows, columns, start[edge, 2] + fraction * turn[:, 2])
