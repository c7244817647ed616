"""CUDA back end: nvdiffrast decides visibility and mixes attributes; weights and edge gradient are this package's.

nvdiffrast is imported here and nowhere else; its licence is non-commercial, so it is an optional extra ("cuda").
Its vertex grid is 1/16 px, which moves a few percent of the triangle ids compared with the CPU back end.
"""

from functools import cache, partial
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from models.rasterizer import edges
from models.rasterizer.barycentric import surface_points


def rasterize(
    clip: Float[Tensor, "B V 4"], triangles: Int[Tensor, "F 3"], size: tuple[int, int]
) -> Int[Tensor, "B H W"]:
    """Triangle ids; see `models.rasterizer.rasterize`. Unlike the CPU, clips at the near and far plane."""
    if len(clip) == 0 or len(triangles) == 0:
        return torch.full((len(clip), *size), -1, dtype=torch.int32, device=clip.device)
    corners = triangles.to(torch.int32).contiguous()
    surface, _ = _nvdiffrast().rasterize(
        _context(clip.device), clip.detach().float().contiguous(), corners, size, grad_db=False
    )
    return surface[..., 3].to(torch.int32) - 1


def interpolate(
    attributes: Float[Tensor, "B V C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
) -> Float[Tensor, "B H W C"]:
    """Attributes at the pixels; see `models.rasterizer.interpolate`."""
    if len(clip) == 0 or len(triangles) == 0:
        return attributes.new_zeros(*ids.shape, attributes.shape[2])
    surface = _surface(clip, triangles, ids)
    corners = triangles.to(torch.int32).contiguous()
    picture, _ = _nvdiffrast().interpolate(attributes.float().contiguous(), surface, corners)
    result: Tensor = picture.to(clip.dtype)
    return result


def edge_gradient(
    image: Shaped[Tensor, "B H W C"],
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "F 3"],
    ids: Int[Tensor, "B H W"],
    occlusion: bool = True,
) -> Shaped[Tensor, "B H W C"]:
    """The same image with an edge gradient; see `models.rasterizer.edge_gradient`."""
    return edges.attach_edge_gradient(image, clip, triangles, ids, partial(edges.edge_backward, occlusion=occlusion))


def _surface(clip: Tensor, triangles: Tensor, ids: Tensor) -> Tensor:
    """What nvdiffrast's rasterizer returns for these ids: (B, H, W, 4) with two corner weights, z/w (unused), id + 1.

    The weights come from torch, so that autograd carries their gradient to `clip`.
    """
    points = surface_points(clip, triangles, ids)
    covered = points.covered[:, None]
    weights = torch.where(covered, points.weights[:, :2], 0)
    parts = [weights, torch.zeros_like(weights[:, :1]), ids.flatten()[:, None] + 1]
    return torch.cat([part.float() for part in parts], dim=-1).view(*ids.shape, 4)


@cache
def _context(device: torch.device) -> Any:
    """Buffers of the rasterizer, kept for each device."""
    return _nvdiffrast().RasterizeCudaContext(device)


@cache
def _nvdiffrast() -> Any:
    """The library, looked for when a tensor on a GPU first arrives."""
    try:
        import nvdiffrast.torch
    except ImportError as error:
        raise ImportError(
            "rasterizing on a GPU needs nvdiffrast: install the extra 'cuda', or keep the face model on the CPU"
        ) from error
    return nvdiffrast.torch
