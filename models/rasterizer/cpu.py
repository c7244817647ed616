"""CPU back end: compiled kernels spread over threads, and the autograd functions around them.

With FACET_NATIVE_KERNELS=1 in the environment a C++ compiler's kernels take the place of numba's where they can; see
`models.rasterizer.native`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.compiled import arrays, check_indices, for_each
from models.rasterizer import cpu_kernels, edges, native

# Vertices are rounded to 1/256 px. Coarser grids show other triangles: with 4 bits, the grid of CudaRaster, up to six
# percent of the pixels differ from the exact answer; with 8 bits less than half a percent (37,000 vertices, 224 px).
SUB_PIXEL_BITS = 8

_native_wanted = os.environ.get("FACET_NATIVE_KERNELS") == "1"


@contextmanager
def native_kernels(wanted: bool) -> Iterator[None]:
    """Inside, use the C++ kernels or numba's, whatever the environment says; RuntimeError without compiler."""
    global _native_wanted
    if wanted:
        native.loaded()
    before, _native_wanted = _native_wanted, wanted
    try:
        yield
    finally:
        _native_wanted = before


def rasterize(
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    size: tuple[int, int],
    sub_pixel_bits: int = SUB_PIXEL_BITS,
) -> Int[Tensor, "B H W"]:
    """Triangle ids; see `models.rasterizer.rasterize`."""
    check_indices(triangles, clip.shape[1])
    ids = torch.empty(len(clip), *size, dtype=torch.int32)
    points, corners, output = arrays(clip, triangles.to(torch.int32), ids)
    kernels = _kernels(clip.dtype)

    def draw(picture: int, first_row: int, end_row: int) -> None:
        kernels.rasterize_rows(points[picture], corners, sub_pixel_bits, first_row, end_row, output[picture])

    _for_each_band(draw, len(clip), size[0])
    return ids


def interpolate(
    attributes: Float[Tensor, "B V C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
) -> Float[Tensor, "B H W C"]:
    """Attributes at the pixels; see `models.rasterizer.interpolate`."""
    check_indices(triangles, clip.shape[1])
    _check_ids(ids, len(triangles))
    result: Tensor = _Interpolate.apply(attributes, clip, triangles.to(torch.int32), ids)
    return result


def edge_gradient(
    image: Shaped[Tensor, "B H W C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
    occlusion: bool = True,
) -> Shaped[Tensor, "B H W C"]:
    """The same image with an edge gradient; see `models.rasterizer.edge_gradient`."""
    check_indices(triangles, clip.shape[1])
    _check_ids(ids, len(triangles))
    return edges.attach_edge_gradient(image, clip, triangles, ids, partial(edge_backward, occlusion=occlusion))


def edge_backward(
    image: Float[Tensor, "B H W C"],
    gradient: Float[Tensor, "B H W C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
    occlusion: bool = True,
    carried_px: float = edges.CARRIED_PX,
) -> Float[Tensor, "B V 4"]:
    """Compiled twin of `models.rasterizer.edges.edge_backward`."""
    triangles = triangles.to(torch.int32)
    clip_gradient = torch.empty_like(clip, memory_format=torch.contiguous_format)
    colours, changes = image.to(clip.dtype), gradient.to(clip.dtype)
    colours_, changes_, points, corners, seen, output = arrays(colours, changes, clip, triangles, ids, clip_gradient)
    neighbours = _neighbours(corners.tobytes()) if occlusion else np.zeros((0, 3), np.int32)

    def push(picture: int) -> None:
        cpu_kernels.edge_backward(
            colours_[picture],
            changes_[picture],
            points[picture],
            corners,
            neighbours,
            seen[picture],
            edges.DEPTH_TOLERANCE,
            carried_px,
            output[picture],
        )

    for_each(push, len(clip))
    return clip_gradient


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, attributes: Tensor, clip: Tensor, triangles: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(attributes, clip, triangles, ids)
        picture = torch.empty(*ids.shape, attributes.shape[2], dtype=clip.dtype)
        values, points, corners, seen, output = arrays(attributes, clip, triangles, ids, picture)
        kernels = ctx.kernels = _kernels(clip.dtype)

        def shade(index: int, first_row: int, end_row: int) -> None:
            cpu_kernels.read_through(points[index])
            cpu_kernels.read_through(values[index])
            kernels.interpolate_rows(
                values[index], points[index], corners, seen[index], first_row, end_row, output[index]
            )

        _for_each_band(shade, len(clip), ids.shape[1])
        return picture

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        attributes, clip, triangles, ids = ctx.saved_tensors
        to_attributes = torch.empty_like(attributes, memory_format=torch.contiguous_format)
        to_clip = torch.empty_like(clip, memory_format=torch.contiguous_format)
        changes, values, points, corners, seen, values_output, points_output = arrays(
            gradient, attributes, clip, triangles, ids, to_attributes, to_clip
        )
        with_attributes, with_clip = ctx.needs_input_grad[:2]
        # With threads to spare, one works out each gradient of a picture; both would have to wait for each other's sums
        # if each had half of the rows.
        apart = with_attributes and with_clip and len(clip) < torch.get_num_threads()
        parts = [(True, False), (False, True)] if apart else [(with_attributes, with_clip)]

        def spread(job: int) -> None:
            index, part = divmod(job, len(parts))
            cpu_kernels.read_through(points[index])
            cpu_kernels.read_through(values[index])
            ctx.kernels.interpolate_backward(
                changes[index],
                values[index],
                points[index],
                corners,
                seen[index],
                *parts[part],
                values_output[index],
                points_output[index],
            )

        for_each(spread, len(clip) * len(parts))
        return to_attributes if with_attributes else None, to_clip if with_clip else None, None, None


def _kernels(dtype: torch.dtype) -> ModuleType:
    """The module whose `rasterize_rows`, `interpolate_rows` and `interpolate_backward` do the work."""
    return native if _native_wanted and dtype == torch.float32 and native.library() else cpu_kernels


def _check_ids(ids: Tensor, triangle_count: int) -> None:
    """Refuse ids of another mesh."""
    if ids.numel() and int(ids.max()) >= triangle_count:
        raise ValueError(f"ids name triangle {int(ids.max())}, there are {triangle_count}: rasterized another mesh?")


@lru_cache(maxsize=8)
def _neighbours(corners: bytes) -> NDArray[np.int32]:
    """Neighbours of the triangles in an int32 array, kept per topology: finding them costs as much as a picture."""
    triangles = torch.from_numpy(np.frombuffer(corners, np.int32).reshape(-1, 3).copy())
    neighbours: NDArray[np.int32] = edges.triangle_neighbours(triangles).numpy()
    return neighbours


def _for_each_band(work: Callable[[int, int, int], None], pictures: int, height: int) -> None:
    """Call work(picture, first row, end row); pictures are cut into bands of rows when there are more threads."""
    bands = max(1, -(-torch.get_num_threads() // max(pictures, 1)))

    def one(job: int) -> None:
        picture, band = divmod(job, bands)
        work(picture, band * height // bands, (band + 1) * height // bands)

    for_each(one, pictures * bands)
