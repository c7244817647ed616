"""An experiment: the edge gradient with colours carried on from the pixel centres to the outline; plain torch.

Micro-edges take the colour of a surface at its outline from the last pixel centre before it, which lies half a pixel
inside on average. Where a surface turns away its colour changes fast across the picture, and half a pixel matters. Here
the colour goes on as it went between the last two pixels of the surface.

Without the extension this is `models.rasterizer.edge_gradient`, found another way: interpolation with fixed weights
says where the surface point seen by a pixel goes, and autograd does the rest.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.rasterizer import interpolate
from models.rasterizer.edges import occlusion_marks


def extended_edge_gradient(
    image: Float[Tensor, "B H W C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
    extension_px: float = 0.5,
) -> Float[Tensor, "B H W C"]:
    """The same image; its backward pass adds to `clip` what moving outlines change in the picture."""
    height, width = ids.shape[1:]
    marks = occlusion_marks(clip.detach(), triangles, ids).to(ids.dtype)
    covered = ids >= 0
    surface = interpolate(clip, clip.detach(), triangles, ids)
    depth = torch.where(covered, surface[..., 3], 1)
    colour, result = image.detach(), image
    for axis, size in ((0, width), (1, height)):
        along = 2 - axis
        place = surface[..., axis] / depth * (0.5 * size)  # px
        first, second = _ends(covered, along)
        outline = torch.where(first, 1, 2) * (first != second)
        front = torch.where(first & second, _ends(marks[:, axis], along)[0], outline)  # 0: no edge, 1: first, 2: second

        colours = _ends(colour, along)
        slope = (colours[1] - colours[0]) * (front == 0).unsqueeze(-1) * extension_px
        before, after = _with_zeros(slope, along)
        step = colours[0] + _ends(before, along)[0] - colours[1] + _ends(after, along)[1]
        places = _ends(place, along)
        moving = torch.where(front == 1, places[0], places[1]) * (front > 0)
        # Zero in value. Each pixel of the pair receives half of what the motion uncovers.
        change = 0.5 * step * (moving - moving.detach()).unsqueeze(-1)
        result = result + sum(_with_zeros(change, along))
    return result


def _ends(picture: Tensor, along: int) -> tuple[Tensor, Tensor]:
    """First and second pixels of all neighbouring pairs along a dimension."""
    pairs = picture.shape[along] - 1
    return picture.narrow(along, 0, pairs), picture.narrow(along, 1, pairs)


def _with_zeros(pairs: Tensor, along: int) -> tuple[Tensor, Tensor]:
    """Values of pairs at their second pixels, and at their first pixels; zero at the pixel that is left over."""
    zero = torch.zeros_like(pairs.narrow(along, 0, 1))
    return torch.cat([zero, pairs], dim=along), torch.cat([pairs, zero], dim=along)
