"""Differentiable rasterization: rasterize → interpolate → edge gradient. (First sketch; being rewritten.)"""

import numpy as np
import torch
from torch import Tensor

from models.rasterizer import cpu_kernels


def rasterize(clip: Tensor, triangles: Tensor, size: tuple[int, int]) -> Tensor:
    """Triangle index of the nearest surface at each pixel centre, -1 where there is none. (B, V, 4), (F, 3) -> int32 (B, H, W)."""
    ids, _ = cpu_kernels.rasterize(clip.detach().contiguous().numpy(), triangles.numpy(), *size)
    return torch.from_numpy(ids)


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, attributes, clip, triangles, ids):
        a, p, t, i = (x.detach().contiguous().numpy() for x in (attributes, clip, triangles, ids))
        out = torch.empty(*i.shape, a.shape[2] + 1)
        cpu_kernels.interp_fwd(p, t, i, a, out.numpy())
        ctx.s = (a, p, t, i)
        return out[..., :-1].contiguous()

    @staticmethod
    def backward(ctx, g):
        a, p, t, i = ctx.s
        ga, gp = np.empty_like(a), np.empty_like(p)
        cpu_kernels.interp_bwd(p, t, i, a, g.contiguous().numpy(), gp, ga, True)
        return torch.from_numpy(ga), torch.from_numpy(gp), None, None


def interpolate(attributes: Tensor, clip: Tensor, triangles: Tensor, ids: Tensor) -> Tensor:
    """Attributes (B, V, C) at the pixels, perspective-correct: (B, H, W, C), zero where there is no surface."""
    return _Interpolate.apply(attributes, clip, triangles, ids)


def edge_gradient(image: Tensor, clip: Tensor, triangles: Tensor, ids: Tensor) -> Tensor:
    """The same image; its backward pass moves the silhouettes (micro-edges)."""
    return image
