"""ICP with an isotropic scale moves one surface onto another: point to plane, from coarse to fine.

Written in NumPy with SciPy's k-d tree, because nothing here is differentiated and the surfaces differ in size.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from models.registration import similarity_from_points
from models.surface import Points, Surface

_COARSE_POINTS = 1500  # enough for the first steps; only the last ones look at every point
_FINE_STEPS = 3
_SETTLED = 1.0e-6  # mm; smaller changes of the mean residual end a level
_LARGEST_GROWTH = 0.3  # of the log scale in one step; a degenerate mesh must not overflow


class IcpSettings(NamedTuple):
    """How long and how robustly a registration searches."""

    iterations: int
    kept_fraction: float  # of the pairs, the closest ones, that each step uses


class Ball(NamedTuple):
    """The part of space where a protocol compares."""

    centre: Float[np.ndarray, "3"]
    radius: float

    def contains(self, points: Points) -> Bool[np.ndarray, "N"]:
        """Which points lie inside."""
        return np.asarray(np.linalg.norm(points - self.centre, axis=1) <= self.radius)


class Similarity(NamedTuple):
    """x → scale · rotation · x + translation."""

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, "3"]

    def moved(self, points: Points) -> Points:
        """The points after the similarity."""
        return self.scale * points @ self.rotation.T + self.translation

    def moved_back(self, points: Points) -> Points:
        """The points before the similarity."""
        return (points - self.translation) @ self.rotation / self.scale

    def with_scale(self, scale: float, centre: Float[np.ndarray, "3"]) -> "Similarity":
        """The same with another scale; `centre`, a point before the similarity, goes where it went."""
        return Similarity(scale, self.rotation, self.translation + (self.scale - scale) * self.rotation @ centre)


def similarity_from_corresponding(source: Points, target: Points) -> Similarity:
    """Where a registration may start: the similarity that moves corresponding points onto each other."""
    tensors = (torch.from_numpy(np.asarray(points, np.float64))[None] for points in (source, target))
    scale, rotation, translation = (array[0].numpy() for array in similarity_from_points(*tensors))
    return Similarity(float(scale), rotation, translation)


class Pairs(NamedTuple):
    """Points of one surface, each with its nearest one of the other."""

    on_mesh: Float[np.ndarray, "N 3"]  # moved to the scan's frame
    on_scan: Float[np.ndarray, "N 3"]
    normals: Float[np.ndarray, "N 3"]  # of the surface that was searched, scan's frame
    nearest: Int[np.ndarray, "N"]  # which point of the surface that was searched

    @property
    def residuals(self) -> Float[np.ndarray, "N"]:
        """Signed distances from point to plane."""
        return ((self.on_scan - self.on_mesh) * self.normals).sum(axis=1)

    def part(self, kept: Bool[np.ndarray, "N"]) -> "Pairs":
        """The chosen pairs."""
        return Pairs(*(array[kept] for array in self))


class Matcher:
    """Finds for points of one surface the nearest ones of the other; the tree is built once."""

    def __init__(self, mesh: Surface, scan: Surface, crop: Ball, *, from_scan: bool) -> None:
        self.mesh, self.scan, self.crop, self.from_scan = mesh, scan, crop, from_scan

    @cached_property
    def tree(self) -> cKDTree:
        """The points of the surface that is searched."""
        return cKDTree(self.mesh.points if self.from_scan else self.scan.points)

    @property
    def size(self) -> int:
        """How many points look for a partner."""
        return len(self.scan.points if self.from_scan else self.mesh.points)

    def pairs(self, scan_from_mesh: Similarity, step: int) -> Pairs:
        """Every `step`-th point with its nearest partner under the present similarity."""
        if self.from_scan:  # the tree stays in the mesh's frame; a similarity does not change who is nearest
            points = self.scan.points[::step]
            nearest = self.tree.query(scan_from_mesh.moved_back(points))[1]
            normals = self.mesh.normals[nearest] @ scan_from_mesh.rotation.T
            return Pairs(scan_from_mesh.moved(self.mesh.points[nearest]), points, normals, nearest)
        points = scan_from_mesh.moved(self.mesh.points[::step])
        points = points[self.crop.contains(points)]
        nearest = self.tree.query(points)[1]
        return Pairs(points, self.scan.points[nearest], self.scan.normals[nearest], nearest)


def registered(matcher: Matcher, start: Similarity, settings: IcpSettings, *, with_scale: bool = True) -> Similarity:
    """Point-to-plane ICP, first on a part of the points, then on all; without scale that of the start stays."""
    found = start
    coarse_step = max(1, matcher.size // _COARSE_POINTS)
    coarse_steps = max(0, settings.iterations - _FINE_STEPS)
    for step, iterations in ((coarse_step, coarse_steps), (1, min(_FINE_STEPS, settings.iterations))):
        previous = np.inf
        for _ in range(iterations):
            pairs = matcher.pairs(found, step)
            used = pairs.part(_closest(pairs, settings.kept_fraction))
            residual = float(np.abs(used.residuals).mean())
            found = _improved(found, used, with_scale=with_scale)
            if abs(previous - residual) < _SETTLED:
                break
            previous = residual
    return found


def _closest(pairs: Pairs, fraction: float) -> Bool[np.ndarray, "N"]:
    distance = np.linalg.norm(pairs.on_scan - pairs.on_mesh, axis=1)
    return np.asarray(distance <= np.quantile(distance, fraction))


def _improved(found: Similarity, pairs: Pairs, *, with_scale: bool) -> Similarity:
    """One Gauss–Newton step in rotation vector, translation and log scale about the centre of the pairs."""
    centre = pairs.on_mesh.mean(axis=0)
    arm = pairs.on_mesh - centre
    columns = [np.cross(arm, pairs.normals), pairs.normals]
    columns += [(arm * pairs.normals).sum(axis=1, keepdims=True)] if with_scale else []
    matrix = np.concatenate(columns, axis=1)  # (N, 7), or (N, 6)
    change = np.linalg.lstsq(matrix.T @ matrix, matrix.T @ pairs.residuals, rcond=None)[0]
    turn = Rotation.from_rotvec(change[:3]).as_matrix()
    growth = float(np.exp(np.clip(change[6], -_LARGEST_GROWTH, _LARGEST_GROWTH))) if with_scale else 1.0
    translation = growth * turn @ (found.translation - centre) + centre + change[3:6]
    return Similarity(found.scale * growth, turn @ found.rotation, translation)
