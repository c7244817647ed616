"""Triangulation of the left half of the radial surface in its (u, v) plane: fine at eyes, lips and nose.

Feature curves (lips, lids, boundary, midline) become edges of the mesh, because their samples are denser than the
points beside them.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.path import Path as PlanarPath
from scipy.spatial import Delaunay, cKDTree

from pipelines.embedded_face.authored import (
    BOUNDARY,
    LID_CREASE,
    LIP_LINE,
    LOWER_LID,
    LOWER_LIP_BORDER,
    NOSTRIL_RIM,
    UPPER_LID,
    UPPER_LIP_BORDER,
)
from pipelines.embedded_face.geometry import Indices, Mask, Points, Scalars, resampled
from pipelines.embedded_face.radial import RadialSurface, uv_from_points

_SEED = 0  # of the scattered points; the geometry is authored, so it is no parameter
_CANDIDATES = 250_000
_COARSEST = 3.15  # all sizes in hundredths of a radian, which is about a millimetre
_GROWTH = 0.16  # of the edge length per unit of distance from a feature
_RELAXATIONS = 25
_LIP_SAMPLES, _LID_SAMPLES, _CREASE_SAMPLES, _NOSTRIL_SAMPLES, _BOUNDARY_SAMPLES = 24, 29, 28, 22, 60
_COMPANION_DISTANCE = 0.95  # of the rows beside lips, lids and crease


@dataclass(frozen=True)
class HalfMesh:
    """The flat left half: directions, triangles, and the vertices of its feature curves from the middle outwards."""

    uv: Points
    triangles: Indices
    in_eye: Mask  # of triangles
    boundary: Indices
    lip_line: Indices
    upper_lip_border: Indices
    lower_lip_border: Indices
    upper_lid: Indices
    lower_lid: Indices
    lid_crease: Indices
    nostril_rim: Indices  # once around


@dataclass(frozen=True)
class _Curves:
    boundary: Points
    lip_line: Points
    upper_lip_border: Points
    lower_lip_border: Points
    upper_lid: Points
    lower_lid: Points
    lid_crease: Points
    nostril_rim: Points


def triangulate_half(surface: RadialSurface) -> HalfMesh:
    """Triangulate the half x >= 0 between the midline and the boundary."""
    curves = _feature_curves(surface)
    size_field = _SizeField(surface, curves)
    fixed = [
        curves.boundary,
        curves.lip_line,
        curves.upper_lip_border[:-1],
        curves.lower_lip_border[:-1],
        curves.upper_lid,
        curves.lower_lid[1:-1],
        curves.lid_crease,
        curves.nostril_rim,
        *_companions(curves),
        _midline(curves, size_field),
    ]
    starts = np.cumsum([0, *(len(points) for points in fixed)])
    ranges = [np.arange(start, end) for start, end in pairwise(starts)]
    outline, eye = PlanarPath(curves.boundary), _eye_outline(curves)
    obstacles = cKDTree(np.concatenate([*fixed, *_midpoints(curves)]))
    scattered = _scattered(np.concatenate(fixed), obstacles, outline=outline, size_field=size_field)
    uv = _relaxed(np.concatenate(fixed), scattered, obstacles, outline=outline, eye=eye, size_field=size_field)
    triangles = _delaunay(uv, outline)
    return HalfMesh(
        uv=uv,
        triangles=triangles,
        in_eye=eye.contains_points(uv[triangles].mean(axis=1)),
        boundary=ranges[0],
        lip_line=ranges[1],
        upper_lip_border=np.append(ranges[2], ranges[1][-1]),
        lower_lip_border=np.append(ranges[3], ranges[1][-1]),
        upper_lid=ranges[4],
        lower_lid=np.concatenate([ranges[4][:1], ranges[5], ranges[4][-1:]]),
        lid_crease=ranges[6],
        nostril_rim=ranges[7],
    )


def _feature_curves(surface: RadialSurface) -> _Curves:
    lips = [surface.uv_at(resampled(curve, _LIP_SAMPLES)) for curve in (LIP_LINE, UPPER_LIP_BORDER, LOWER_LIP_BORDER)]
    lids = [surface.uv_at(resampled(curve, _LID_SAMPLES)) for curve in (UPPER_LID, LOWER_LID)]
    boundary = resampled(uv_from_points(np.array(BOUNDARY, float))[0], _BOUNDARY_SAMPLES)
    for curve in lips:
        curve[0, 0] = 0.0
        curve[-1] = lips[0][-1]
    boundary[[0, -1], 0] = 0.0
    lids[1][[0, -1]] = lids[0][[0, -1]]
    crease = surface.uv_at(resampled(LID_CREASE, _CREASE_SAMPLES))
    rim = resampled(uv_from_points(np.array([*NOSTRIL_RIM, NOSTRIL_RIM[0]]))[0], _NOSTRIL_SAMPLES + 1)[:-1]
    return _Curves(boundary, *[*lips, *lids, crease, rim])


def _eye_outline(curves: _Curves) -> PlanarPath:
    return PlanarPath(np.concatenate([curves.upper_lid, curves.lower_lid[::-1]]))


def _midpoints(curves: _Curves) -> list[Points]:
    """Middles of the edges of lids, lips and nostrils: a point near one of them would cut through the edge."""
    rim = np.concatenate([curves.nostril_rim, curves.nostril_rim[:1]])
    lines = (*_lips(curves), curves.upper_lid, curves.lower_lid, curves.lid_crease, rim, *_companions(curves))
    return [(curve[1:] + curve[:-1]) / 2 for curve in lines]


def _companions(curves: _Curves) -> list[Points]:
    """Rows of points beside the lip line, the lids and the crease: even triangles, where uneven ones would show."""
    lid_rows = [_beside(curves.upper_lid, _COMPANION_DISTANCE), _beside(curves.lower_lid, -_COMPANION_DISTANCE)]
    around = [curves.lip_line, curves.lid_crease]
    return lid_rows + [_beside(curve, side * _COMPANION_DISTANCE) for curve in around for side in (1, -1)]


def _beside(curve: Points, distance: float) -> Points:
    """The curve moved to its left, without its ends; never farther than its points are from each other."""
    along = curve[2:] - curve[:-2]
    length = np.linalg.norm(along, axis=1, keepdims=True)
    to_left = np.column_stack([-along[:, 1], along[:, 0]]) / length
    return np.asarray(curve[1:-1] + to_left * np.sign(distance) * np.minimum(abs(distance), 0.45 * length))[:-1]


class _SizeField:
    """Wanted edge length at any (u, v); beside lips and lids it is that of the curve, else their edges would be cut."""

    def __init__(self, surface: RadialSurface, curves: _Curves) -> None:
        nose = [(x, y) for y in (-28, -32, -36) for x in (0, 4, 8, 12, 16)]
        nose_base = [(x, y) for y in (-39, -42, -45) for x in (0, 3, 6, 9, 12, 15, 18)]
        bridge = [(0, y) for y in range(4, -30, -4)] + [(8, y) for y in range(-4, -30, -4)]
        sulcus = [(x, y) for y in (-80, -84, -88) for x in (0, 8, 16)]
        brow = [(x, 18) for x in range(12, 50, 4)]
        fold = [(x, y + 3) for x, y in LID_CREASE]
        lines = [*_lips(curves), curves.upper_lid, curves.lower_lid, curves.lid_crease, curves.nostril_rim]
        self._features = [(cKDTree(line), _local_edge_length(line), 2.0) for line in lines]
        areas = (  # points, edge length there, and up to which distance from them
            (nose, 1.35, 3.0),
            (nose_base, 1.1, 1.5),
            (bridge, 2.0, 4.0),
            (brow, 1.9, 4.0),
            (fold, 1.4, 1.5),
            (sulcus, 2.0, 3.0),
        )
        for points, size, flat in areas:
            uv = surface.uv_at(np.array(points, float))
            self._features.append((cKDTree(uv), np.full(len(uv), size), flat))

    def __call__(self, uv: Points) -> Scalars:
        """Edge length at each (u, v)."""
        folded = np.stack([np.abs(uv[:, 0]), uv[:, 1]], axis=1)
        result = np.full(len(uv), _COARSEST)
        for tree, sizes, flat in self._features:
            distance, nearest = tree.query(folded)
            result = np.minimum(result, sizes[nearest] + _GROWTH * np.maximum(distance - flat, 0))
        return result


def _lips(curves: _Curves) -> list[Points]:
    return [curves.lip_line, curves.upper_lip_border, curves.lower_lip_border]


def _local_edge_length(line: Points) -> Scalars:
    lengths = np.linalg.norm(np.diff(line, axis=0), axis=1)
    return np.asarray(np.maximum(np.append(lengths, lengths[-1]), np.insert(lengths, 0, lengths[0])))


def _midline(curves: _Curves, size_field: _SizeField) -> Points:
    """Points on u = 0 between the ends of the curves that meet it, spaced by the size field."""
    ends = (curves.lower_lip_border[0], curves.lip_line[0], curves.upper_lip_border[0], *curves.boundary[[0, -1]])
    anchors = sorted(float(end[1]) for end in ends)
    result: list[float] = []
    for low, high in pairwise(anchors):
        fine = np.linspace(low, high, 600)
        density = 1 / size_field(np.column_stack([np.zeros_like(fine), fine]))
        edges = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(fine))])
        count = max(2, round(edges[-1]) + 1)
        result += np.interp(np.linspace(0, edges[-1], count), edges, fine)[1:-1].tolist()
    return np.column_stack([np.zeros(len(result)), result])


def _scattered(fixed: Points, obstacles: cKDTree, outline: PlanarPath, size_field: _SizeField) -> Points:
    """Poisson-disc points inside the outline, away from the obstacles and from the midline."""
    low, high = fixed.min(axis=0), fixed.max(axis=0)
    candidates = np.random.default_rng(_SEED).uniform([0.3, low[1]], high, size=(_CANDIDATES, 2))
    candidates = candidates[outline.contains_points(candidates)]
    sizes = size_field(candidates)
    free = (obstacles.query(candidates)[0] > 0.62 * sizes) & (candidates[:, 0] > 0.5 * sizes)
    return _thinned(candidates[free], 0.82 * sizes[free])


def _thinned(candidates: Points, distances: Scalars) -> Points:
    """Take each candidate that keeps its distance from those taken before it, with a grid of cells as the index."""
    cell = _COARSEST
    taken: dict[tuple[int, int], list[tuple[float, float]]] = {}
    result = []
    for (u, v), distance in zip(candidates.tolist(), distances.tolist(), strict=True):
        column, row = int(u // cell), int(v // cell)
        around = [(i, j) for i in (column - 1, column, column + 1) for j in (row - 1, row, row + 1)]
        near = (point for key in around for point in taken.get(key, ()))
        if all((u - x) ** 2 + (v - y) ** 2 >= distance**2 for x, y in near):
            taken.setdefault((column, row), []).append((u, v))
            result.append((u, v))
    return np.array(result)


def _relaxed(
    fixed: Points,
    scattered: Points,
    obstacles: cKDTree,
    outline: PlanarPath,
    eye: PlanarPath,
    size_field: _SizeField,
) -> Points:
    """All points, the scattered ones moved towards the mean of their neighbours, but not over a feature curve."""
    points = np.concatenate([fixed, scattered])
    free = slice(len(fixed), None)
    in_eye = eye.contains_points(scattered)
    for _ in range(_RELAXATIONS):
        moved = _towards_neighbours(points)[free]
        refused = ~outline.contains_points(moved) | (eye.contains_points(moved) != in_eye)
        refused |= obstacles.query(moved)[0] < 0.55 * size_field(moved)
        points[free] = np.where(refused[:, None], points[free], moved)
    return points


def _towards_neighbours(points: Points) -> Points:
    """Each point moved 0.6 of the way to the weighted mean of its neighbours, mirrored ones beyond u = 0 included."""
    mirrored = points[points[:, 0] > 0.05] * [-1, 1]
    both = np.concatenate([points, mirrored])
    starts, neighbours = Delaunay(both).vertex_neighbor_vertices
    owner = np.repeat(np.arange(len(both)), np.diff(starts))
    length = np.linalg.norm(both[neighbours] - both[owner], axis=1)
    weight = 1 / np.sqrt(np.maximum(length, 0.05))
    total = np.bincount(owner, weights=weight)
    mean = np.column_stack([np.bincount(owner, weights=weight * both[neighbours, axis]) for axis in range(2)])
    return np.asarray(0.4 * points + 0.6 * (mean / total[:, None])[: len(points)])


def _delaunay(uv: Points, outline: PlanarPath) -> Indices:
    """Triangles inside the outline, counter-clockwise, without slivers on the straight midline."""
    triangles = Delaunay(uv).simplices.astype(np.int64)
    triangles = triangles[outline.contains_points(uv[triangles].mean(axis=1))]
    first, second = (uv[triangles[:, k]] - uv[triangles[:, 0]] for k in (1, 2))
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    triangles[area < 0] = triangles[area < 0][:, ::-1]
    return triangles[np.abs(area) > 1e-6]
