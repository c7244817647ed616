"""Ambient occlusion of the mean face: how much of the sky in front of it each vertex sees."""

import math

import numpy as np
import torch
from torch import Tensor

from models.normals import vertex_normals
from models.rasterizer import interpolate, rasterize
from pipelines.embedded_face.geometry import Scalars
from pipelines.embedded_face.template import Part, Template

_VIEWS = 40
_SIZE = 256  # px of each depth map
_HALF_WIDTH_MM = 130.0
_BIAS_MM = 3.5  # a surface this little in front does not count as an occluder
_MIDDLE = (0.0, -20.0, -50.0)
_AMBIENT = 0.35  # light that reaches the deepest fold after reflections
# The inside of the mouth is measured with a closed mouth, which says nothing about an open one.
_FIXED = {Part.CAVITY: 0.6, Part.UPPER_TEETH: 0.8, Part.LOWER_TEETH: 0.8}


def ambient_occlusion(template: Template) -> Scalars:
    """Factor for both albedos per vertex: 1 in the open, down to 0.35 in the deepest fold."""
    vertices = torch.from_numpy(template.vertices - _MIDDLE).float()[None]
    triangles = torch.from_numpy(template.triangles).int()
    directions = _hemisphere()
    turned = vertices @ _views(directions).transpose(-1, -2)  # (views, V, 3), z towards the light
    cosine = (vertex_normals(vertices, triangles)[0] @ directions.T).T.clamp(min=0)  # (views, V)
    visible = _visible(turned, triangles)
    sky = ((cosine * visible).sum(dim=0) / cosine.sum(dim=0).clamp(min=0.5)).numpy()
    result = _AMBIENT + (1 - _AMBIENT) * np.clip(sky, 0, 1).astype(np.float64)
    result = (result + result[template.mirror]) / 2
    for part, value in _FIXED.items():
        result[template.is_part(part)] = value
    return np.asarray(result)


def _hemisphere() -> Tensor:
    """Unit directions to the front, spread evenly by the golden angle, denser than the rest of the sphere needs."""
    index = torch.arange(_VIEWS, dtype=torch.float32) + 0.5
    z = 1 - 1.1 * index / _VIEWS  # a little more than the front half
    angle = index * math.pi * (3 - math.sqrt(5))
    sideways = torch.sqrt(1 - z**2)
    return torch.stack([sideways * torch.cos(angle), sideways * torch.sin(angle), z], dim=-1)


def _views(directions: Tensor) -> Tensor:
    """Rotations (views, 3, 3) that turn each direction to +z."""
    up = torch.tensor([0.0, 1.0, 0.0]).expand_as(directions)
    right = torch.nn.functional.normalize(torch.linalg.cross(up, directions), dim=-1)
    return torch.stack([right, torch.linalg.cross(directions, right), directions], dim=1)


def _visible(points: Tensor, triangles: Tensor) -> Tensor:
    """Whether each point (views, V, 3) is seen from +z, by an orthographic depth map per view."""
    scaled = points / _HALF_WIDTH_MM
    depth = points[..., 2:]
    clip = torch.cat([scaled[..., :1], -scaled[..., 1:2], -0.5 * scaled[..., 2:], torch.ones_like(depth)], dim=-1)
    maps = interpolate(depth.contiguous(), clip, triangles, rasterize(clip, triangles, (_SIZE, _SIZE)))[..., 0]
    column, row = (((clip[..., axis] + 1) * _SIZE / 2).long().clamp(0, _SIZE - 1) for axis in range(2))
    seen = maps[torch.arange(len(maps))[:, None], row, column]
    return (seen - depth[..., 0] < _BIAS_MM).float()
