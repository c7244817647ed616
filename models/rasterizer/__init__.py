"""Differentiable rasterization: which triangle a pixel sees, what it looks like there, and how outlines move.

    ids = rasterize(clip, triangles, (224, 224))
    picture = interpolate(colours, clip, triangles, ids)
    picture = edge_gradient(picture, clip, triangles, ids)

The device of `clip` chooses the back end: compiled kernels on the CPU, nvdiffrast on a GPU. Clip coordinates are those
of `models.camera`: x right, y down, nearer is smaller in z/w. Row 0 of a picture lies at y/w = -1.
Pictures are (B, H, W, C) here, the order of the ids and of the kernels; the renderer permutes them.
"""

from types import ModuleType
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

__all__ = ["EdgeMethod", "coverage", "edge_gradient", "interpolate", "rasterize"]

EdgeMethod = Literal["micro_edges", "pixel_pair"]


def rasterize(
    clip: Float[Tensor, "B V 4"], triangles: Int[Tensor, "F 3"], size: tuple[int, int]
) -> Int[Tensor, "B H W"]:
    """Triangle with the smallest z/w at each pixel centre, int32; -1 where there is none. Not differentiable.

    Both sides of a triangle are seen. A centre on a shared edge belongs to exactly one of the two triangles (top-left
    rule); of surfaces at the same depth the first triangle wins. A triangle with a corner that is not in front of the
    camera (w <= 0), not finite or absurdly far off the picture is left out as a whole; nothing is clipped.
    """
    _check_clip(clip)
    return _back_end(clip).rasterize(clip, triangles, size)


def interpolate(
    attributes: Float[Tensor, "B V C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
) -> Float[Tensor, "B H W C"]:
    """Vertex attributes at the pixels, perspective-correct; zero where there is no surface.

    Differentiable with respect to attributes and clip for fixed ids; the part that ids would contribute is that of
    `edge_gradient`. `ids` must come from `rasterize` with the same triangles.
    """
    _check_clip(clip)
    return _back_end(clip).interpolate(attributes.to(clip.dtype), clip, triangles, ids)


def edge_gradient(
    image: Shaped[Tensor, "B H W C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
    occlusion: bool = True,
    method: EdgeMethod = "micro_edges",
) -> Shaped[Tensor, "B H W C"]:
    """The same image; its backward pass adds to `clip` what moving outlines change in the picture.

    `image` may be anything made from these ids: a rendering, several pictures stacked in C, or their coverage. Without
    `occlusion` only outlines against the background count: three times cheaper, and all that a coverage needs.
    Method: `models.rasterizer.edges`.

    The method "pixel_pair" is the usual one, for comparison (`models.rasterizer.pixel_pair`): it blends the colours at
    outlines, so the image changes too; `occlusion` makes no difference to it.
    """
    _check_clip(clip)
    if method not in get_args(EdgeMethod):
        raise ValueError(f"unknown edge method {method!r}: one of {', '.join(get_args(EdgeMethod))} is needed")
    if method == "pixel_pair":
        from models.rasterizer import pixel_pair  # imports this package

        return pixel_pair.antialias(image, clip, triangles, ids)
    return _back_end(clip).edge_gradient(image, clip, triangles, ids, occlusion=occlusion)


def coverage(ids: Int[Tensor, "B H W"]) -> Float[Tensor, "B H W 1"]:
    """1 where a pixel sees a surface, else 0."""
    return (ids >= 0).unsqueeze(-1).float()


def _back_end(clip: Tensor) -> ModuleType:
    """The module that works on the device of `clip`; imported late, each takes a moment."""
    if clip.is_cuda:
        from models.rasterizer import cuda

        return cuda
    from models.rasterizer import cpu

    return cpu


def _check_clip(clip: Tensor) -> None:
    """Refuse half precision, which cannot even tell neighbouring pixels apart."""
    if clip.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"clip coordinates must be float32 or float64, got {clip.dtype}: leave autocast before the camera"
        )
