"""ICP with an isotropic scale moves one surface onto another: point to plane, from coarse to fine.

Written in NumPy with SciPy's k-d tree, because nothing here is differentiated and the surfaces differ in size.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from models.registration import similarity_from_points
from models.surface import Points, Surface

# At least so many points look for a partner, among at least so many; larger surfaces are thinned out. The second pair
# finds the place of 28 000 vertices within 0.01 mm on 100 000 points with noise of 0.1 mm (benchmarks/registration.py).
_COARSE_POINTS, _COARSE_TARGETS = 1500, 8000
_FINE_POINTS, _FINE_TARGETS = 14000, 30000
_FINE_STEPS = 3
_SETTLED = 1.0e-6  # mm; smaller changes of the mean residual end a level
_REPEATED = 1.0e-9  # mm; a mean residual this close to an earlier one is the same again
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


class Level(NamedTuple):
    """How many points a step of the registration looks at."""

    every: int  # each so many-th point looks for a partner
    among: int  # each so many-th point of the other surface


EVERYTHING = Level(1, 1)


class Matcher:
    """Finds for points of one surface the nearest ones of the other; a tree for each level is built once."""

    def __init__(self, mesh: Surface, scan: Surface, crop: Ball, *, from_scan: bool) -> None:
        self.mesh, self.scan, self.crop, self.from_scan = mesh, scan, crop, from_scan
        self.looking, self.searched = (scan, mesh) if from_scan else (mesh, scan)
        self._trees: dict[int, cKDTree] = {}

    @property
    def levels(self) -> tuple[Level, Level]:
        """The coarse and the fine one."""
        looking, searched = len(self.looking.points), len(self.searched.points)
        coarse = Level(max(1, looking // _COARSE_POINTS), max(1, searched // _COARSE_TARGETS))
        return coarse, Level(max(1, looking // _FINE_POINTS), max(1, searched // _FINE_TARGETS))

    def pairs(self, scan_from_mesh: Similarity, level: Level = EVERYTHING) -> Pairs:
        """The points of a level with their nearest partners under the present similarity."""
        if self.from_scan:  # the tree stays in the mesh's frame; a similarity does not change who is nearest
            points = self.scan.points[:: level.every]
            nearest = self._nearest(scan_from_mesh.moved_back(points), level.among)
            normals = self.mesh.normals[nearest] @ scan_from_mesh.rotation.T
            return Pairs(scan_from_mesh.moved(self.mesh.points[nearest]), points, normals, nearest)
        points = scan_from_mesh.moved(self.mesh.points[:: level.every])
        points = points[self.crop.contains(points)]
        nearest = self._nearest(points, level.among)
        return Pairs(points, self.scan.points[nearest], self.scan.normals[nearest], nearest)

    def _nearest(self, points: Points, among: int) -> Int[np.ndarray, "N"]:
        if among not in self._trees:
            self._trees[among] = cKDTree(self.searched.points[::among])
        return np.asarray(among * self._trees[among].query(points)[1])


def registered(matcher: Matcher, start: Similarity, settings: IcpSettings, *, with_scale: bool = True) -> Similarity:
    """Point-to-plane ICP, first on a few of the points, then on more; without scale that of the start stays."""
    found = start
    fine_steps = min(_FINE_STEPS, settings.iterations)
    for level, iterations in zip(matcher.levels, (settings.iterations - fine_steps, fine_steps), strict=True):
        residuals: list[float] = []
        left = iterations
        while left > 0:
            pairs = matcher.pairs(found, level)
            used = pairs.part(_closest(pairs, settings.kept_fraction))
            residuals.append(float(np.abs(used.residuals).mean()))
            found = _improved(found, used, with_scale=with_scale)
            left -= 1
            if len(residuals) > 1 and abs(residuals[-2] - residuals[-1]) < _SETTLED:
                break
            if period := _period(residuals):
                left %= period
    return found


def _period(residuals: Sequence[float]) -> int:
    """After how many steps the pairs have come back to what they were; 0 where they have not.

    Points that change their partner to and fro make ICP go round in a circle, commonly of two steps, for ever.
    """
    same = np.abs(np.array(residuals[:-1]) - residuals[-1]) < _REPEATED
    return int(same[::-1].argmax()) + 1 if same.any() else 0


def _closest(pairs: Pairs, fraction: float) -> Bool[np.ndarray, "N"]:
    distance = np.linalg.norm(pairs.on_scan - pairs.on_mesh, axis=1)
    last = int(fraction * (len(distance) - 1))
    return np.asarray(distance <= np.partition(distance, last)[last])


def _improved(found: Similarity, pairs: Pairs, *, with_scale: bool) -> Similarity:
    """One Gauss–Newton step in rotation vector, translation and log scale about the centre of the pairs."""
    centre = pairs.on_mesh.mean(axis=0)
    arm = pairs.on_mesh - centre
    columns = [_cross(arm, pairs.normals), pairs.normals]
    columns += [(arm * pairs.normals).sum(axis=1, keepdims=True)] if with_scale else []
    matrix = np.concatenate(columns, axis=1)  # (N, 7), or (N, 6)
    change = np.linalg.lstsq(matrix.T @ matrix, matrix.T @ pairs.residuals, rcond=None)[0]
    turn = Rotation.from_rotvec(change[:3]).as_matrix()
    growth = float(np.exp(np.clip(change[6], -_LARGEST_GROWTH, _LARGEST_GROWTH))) if with_scale else 1.0
    translation = growth * turn @ (found.translation - centre) + centre + change[3:6]
    return Similarity(found.scale * growth, turn @ found.rotation, translation)


def _cross(first: Points, second: Points) -> Points:
    """NumPy's own spends more time on its axes than on a thousand products."""
    (a, b, c), (x, y, z) = first.T, second.T
    return np.stack([b * z - c * y, c * x - a * z, a * y - b * x], axis=1)
