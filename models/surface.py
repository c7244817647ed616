"""Surfaces as points with normals and triangles: normals of meshes, parts, rims, closest points."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

Points = Float[np.ndarray, "N 3"]

_CANDIDATES = 12  # triangles by the distance of their centres; on a scan the closest one is among them (test)
_NO_TRIANGLES = np.zeros((0, 3), np.int64)


class Surface(NamedTuple):
    """Points of a surface with unit normals, and its triangles where it has any."""

    points: Float[np.ndarray, "N 3"]
    normals: Float[np.ndarray, "N 3"]
    triangles: Int[np.ndarray, "F 3"] = _NO_TRIANGLES

    def part(self, kept: Bool[np.ndarray, "N"]) -> "Surface":
        """The chosen points, with the triangles that keep all their corners."""
        whole = self.triangles[kept[self.triangles].all(axis=1)]
        return Surface(self.points[kept], self.normals[kept], (np.cumsum(kept) - 1)[whole])


def surface_from_mesh(vertices: Points, triangles: Int[np.ndarray, "F 3"]) -> Surface:
    """All vertices that have a normal, in float64."""
    normals = mesh_normals(vertices, triangles)
    whole = Surface(vertices.astype(np.float64), normals, triangles.astype(np.int64))
    return whole.part(np.asarray(normals.any(axis=1)))


def mesh_normals(vertices: Points, triangles: Int[np.ndarray, "F 3"]) -> Points:
    """Unit normals of all vertices, each the area-weighted mean over its triangles; zero where there is none."""
    corners = vertices[triangles].astype(np.float64)  # (F, 3, 3)
    weighted = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((len(vertices), 3))
    for corner in range(3):
        for axis in range(3):  # bincount is several times faster than np.add.at
            normals[:, axis] += np.bincount(triangles[:, corner], weighted[:, axis], minlength=len(vertices))
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, lengths, out=normals, where=lengths > 0)


def on_rim(surface: Surface) -> Bool[np.ndarray, "N"]:
    """Which points lie at an edge that only one triangle has."""
    edges = np.sort(surface.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    single, uses = np.unique(edges, axis=0, return_counts=True)
    result = np.zeros(len(surface.points), bool)
    result[single[uses == 1]] = True
    return result


def closest_on_surface(points: Points, surface: Surface) -> Points:
    """The point of the surface's triangles that is closest to each of the points."""
    corners = surface.points[surface.triangles]  # (F, 3, 3)
    count = min(_CANDIDATES, len(corners))
    near = cKDTree(corners.mean(axis=1)).query(points, k=count)[1].reshape(len(points), count)
    candidates = _closest_on_triangles(points[:, None], corners[near])
    best = np.linalg.norm(candidates - points[:, None], axis=2).argmin(axis=1)
    return candidates[np.arange(len(points)), best]


def _closest_on_triangles(
    points: Float[np.ndarray, "N 1 3"], corners: Float[np.ndarray, "N K 3 3"]
) -> Float[np.ndarray, "N K 3"]:
    """The foot of the perpendicular where it lies inside a triangle; the closest point of its edges elsewhere."""
    starts, edges = corners, np.roll(corners, -1, axis=2) - corners
    arms = points[:, :, None] - starts  # (N, K, 3, 3)
    lengths = np.maximum((edges**2).sum(axis=3), np.finfo(np.float64).tiny)
    along = np.clip((arms * edges).sum(axis=3) / lengths, 0, 1)
    on_edges = starts + along[..., None] * edges
    distances = np.linalg.norm(points[:, :, None] - on_edges, axis=3)
    nearest_edge = distances.argmin(axis=2)[..., None, None]
    on_edge = np.take_along_axis(on_edges, nearest_edge, axis=2)[:, :, 0]

    normal = np.cross(edges[:, :, 0], edges[:, :, 1])
    squared = (normal**2).sum(axis=2, keepdims=True)
    height = (arms[:, :, 0] * normal).sum(axis=2, keepdims=True) / np.maximum(squared, np.finfo(np.float64).tiny)
    sides = (np.cross(edges, arms) * normal[:, :, None]).sum(axis=3)
    inside = (sides >= 0).all(axis=2, keepdims=True) & (squared > 0)
    return np.where(inside, points - height * normal, on_edge)
