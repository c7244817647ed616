"""The mean face with a given number of vertices, and its inner mouth: for benchmarks that ask for triangle sizes."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.face_model import FaceModelArrays


class Mesh(NamedTuple):
    """A triangle mesh in mm; further columns of `vertices` may hold what else is linear on the triangles."""

    vertices: Tensor  # (V, 3 or more)
    triangles: Tensor  # (F, 3), int32
    origin: str  # how it was made, in words


def face_mesh(arrays: FaceModelArrays, vertex_count: int) -> Mesh:
    """The mean face with `vertex_count` vertices: the rim cut off, or the longest edges halved until there are enough.

    The surface stays what it is: new vertices lie on the old triangles.
    """
    mesh = Mesh(torch.from_numpy(arrays.mean_shape), torch.from_numpy(arrays.triangles), "the face model's own mesh")
    if vertex_count < len(mesh.vertices):
        return cut_rim(mesh, vertex_count)
    while len(mesh.vertices) < vertex_count:
        mesh = halve_longest_edges(mesh, vertex_count - len(mesh.vertices))
    return mesh


def mouth_mesh(arrays: FaceModelArrays, opening: float) -> Mesh:
    """The patch between the lips of the mean face, the mouth opened by an activation between 0 and 1.

    The renderer draws it as a mesh of its own; the vertices that belong to the face alone stay in the list.
    """
    if "jawOpen" not in arrays.sampling.action_names:
        raise ValueError(f"face model {arrays.source}: no action jawOpen, so nothing says how the mouth opens")
    action = arrays.sampling.action_names.index("jawOpen")
    offset = np.tensordot(arrays.sampling.action_coefficients[action], arrays.expression_basis, axes=1)
    vertices = torch.from_numpy(arrays.mean_shape + np.float32(opening) * offset)
    return Mesh(vertices, torch.from_numpy(arrays.mouth_triangles), f"inner mouth, jawOpen {opening}")


def cut_rim(mesh: Mesh, vertex_count: int) -> Mesh:
    """The part of the mesh made of the vertices nearest to the origin, which is the middle of the face."""
    kept = mesh.vertices[:, :3].norm(dim=1).argsort()[:vertex_count].sort().values
    numbers = torch.full((len(mesh.vertices),), -1, dtype=torch.int32)
    numbers[kept] = torch.arange(vertex_count, dtype=torch.int32)
    triangles = numbers[mesh.triangles.long()]
    return Mesh(mesh.vertices[kept], triangles[(triangles >= 0).all(dim=1)], "rim cut off")


def halve_longest_edges(mesh: Mesh, count: int) -> Mesh:
    """Up to `count` new vertices in the middle of the longest edges; the triangles beside them are cut to fit."""
    corners = mesh.triangles.long()
    ends, of_triangle = _edges(corners)
    lengths = (mesh.vertices[ends[:, 0], :3] - mesh.vertices[ends[:, 1], :3]).norm(dim=1)
    halved = lengths.argsort(descending=True, stable=True)[:count]
    middles = torch.full((len(ends),), -1)
    middles[halved] = torch.arange(len(halved)) + len(mesh.vertices)
    triangles = _cut(corners, middles[of_triangle]).to(torch.int32)
    vertices = torch.cat([mesh.vertices, mesh.vertices[ends[halved]].mean(dim=1)])
    return Mesh(vertices, triangles, "longest edges halved")


def subdivide(mesh: Mesh) -> Mesh:
    """Every triangle into four, with new vertices at the middle of the edges."""
    corners = mesh.triangles.long()
    ends, of_triangle = _edges(corners)
    triangles = _cut(corners, of_triangle + len(mesh.vertices)).to(torch.int32)
    return Mesh(torch.cat([mesh.vertices, mesh.vertices[ends].mean(dim=1)]), triangles, "every triangle in four")


def _edges(corners: Tensor) -> tuple[Tensor, Tensor]:
    """Ends (E, 2) of all edges; and for every triangle (F, 3) the numbers of its edges ab, bc, ca."""
    ends = torch.stack([corners, corners.roll(-1, dims=1)], dim=-1).sort(dim=-1).values
    unique, numbers = ends.flatten(0, 1).unique(dim=0, return_inverse=True)
    return unique, numbers.view(-1, 3)


def _cut(corners: Tensor, middles: Tensor) -> Tensor:
    """Triangles cut at the middles (F, 3) of their edges ab, bc, ca, where there is one (not -1)."""
    # Turned so that the first edge is cut, and of two cut edges the other is the second.
    count = (middles >= 0).sum(dim=1)
    start = ((middles >= 0) & ((middles.roll(1, dims=1) < 0) | (count == 3)[:, None])).int().argmax(dim=1)
    order = (start[:, None] + torch.arange(3)) % 3
    (a, b, c), (ab, bc, ca) = corners.gather(1, order).T, middles.gather(1, order).T
    parts = {
        0: [(a, b, c)],
        1: [(a, ab, c), (ab, b, c)],
        2: [(ab, b, bc), (a, ab, bc), (a, bc, c)],
        3: [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)],
    }
    return torch.cat([torch.stack(part, dim=1)[count == cuts] for cuts, pieces in parts.items() for part in pieces])
