"""The smooth surface of the mean face: a radius for every direction, seen from a point in the middle of the head.

Every point of a face crop, the underside of the nose included, is visible from there, so the surface has no overhang.
A direction is written as two coordinates (u, v) of the azimuthal equidistant projection, in hundredths of a radian.
"""

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator, RBFInterpolator

from pipelines.embedded_face.authored import (
    CHEEK_ROWS,
    EYE_CENTRE,
    FACE_ROWS,
    LID_RADIUS,
    LIP_PROFILES,
    MIDLINE,
    NOSE_LOBULES,
    Row,
    forehead_rows,
    jaw_rows,
    midline_depth,
    side_points,
)
from pipelines.embedded_face.geometry import MIRROR, Points, Scalars, arc_lengths, soft_maximum

HEAD_CENTRE = np.array([0.0, -30.0, -95.0])
_ROW_STEP_MM = 3.0
_LID_BLEND_MM = 3.5
_LOBULE_BLENDS_MM = {"tip": 6.0, "ala": 3.2}
_BEYOND_OUTLINE = 1.3  # steepness with which an ellipsoid falls away beside its outline
_NORMAL_STEP = 0.3  # hundredths of a radian, about 0.3 mm


def uv_from_points(points: Points) -> tuple[Points, Scalars]:
    """Directions (u, v) and radii in mm of points."""
    offset = points - HEAD_CENTRE
    radius = np.linalg.norm(offset, axis=-1)
    angle = 100 * np.arccos(np.clip(offset[..., 2] / radius, -1, 1))
    sideways = np.maximum(np.linalg.norm(offset[..., :2], axis=-1), 1e-9)
    return offset[..., :2] * (angle / sideways)[..., None], radius


def directions_from_uv(uv: Points) -> Points:
    """Unit vectors of the directions (u, v)."""
    angle = np.linalg.norm(uv, axis=-1) / 100
    per_unit = np.sinc(angle / np.pi) / 100  # sin(angle) / (100 angle), finite at the pole
    return np.concatenate([uv * per_unit[..., None], np.cos(angle)[..., None]], axis=-1)


class RadialSurface:
    """Radius of skin as a function of direction: thin-plate splines through the authored points, and the eyelids."""

    def __init__(self) -> None:
        points = _control_points()
        uv, radius = uv_from_points(points)
        self._spline = RBFInterpolator(uv, radius, kernel="thin_plate_spline", smoothing=_smoothing(points))

    def base_radius(self, uv: Points) -> Scalars:
        """Radius of the skin without eyelids."""
        return np.asarray(self._spline(uv))

    def sphere_radius(self, uv: Points, sphere_radius: float) -> Scalars:
        """Radius at which each direction leaves a sphere about the centre of the eye; very negative where it misses."""
        mirrored = np.stack([np.abs(uv[:, 0]), uv[:, 1]], axis=1)
        centre = EYE_CENTRE - HEAD_CENTRE
        along = directions_from_uv(mirrored) @ centre
        discriminant = along**2 - (centre @ centre - sphere_radius**2)
        return np.where(discriminant > 0, along + np.sqrt(np.maximum(discriminant, 0)), -1e3)

    def radius(self, uv: Points) -> Scalars:
        """Radius of the skin, lids and lobules of the nose included."""
        result = soft_maximum(self.sphere_radius(uv, LID_RADIUS), self.base_radius(uv), _LID_BLEND_MM)
        directions = directions_from_uv(np.stack([np.abs(uv[:, 0]), uv[:, 1]], axis=1))
        for name, lobule in NOSE_LOBULES.items():
            result = soft_maximum(_ellipsoid_radius(directions, *lobule), result, _LOBULE_BLENDS_MM[name])
        return result

    def points(self, uv: Points) -> Points:
        """Points of the skin in mm."""
        return points_at(uv, self.radius(uv))

    def normals(self, uv: Points) -> Points:
        """Unit outward normals of the skin, by central differences; they do not depend on a triangulation."""
        steps = np.eye(2) * _NORMAL_STEP
        along_u, along_v = (self.points(uv + step) - self.points(uv - step) for step in steps)
        normals = np.cross(along_u, along_v)
        return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))

    def uv_at(self, frontal: Points) -> Points:
        """Directions of the points of the skin whose frontal view is at the given (x, y) in mm."""
        depth = np.full(len(frontal), -10.0)
        for _ in range(12):  # a fixed point in depth, damped because the side of the nose is steep
            uv, _ = uv_from_points(np.column_stack([frontal, depth]))
            depth += 0.7 * (self.points(uv)[:, 2] - depth)
        for _ in range(8):
            radius = self.radius(uv)
            missing = frontal - points_at(uv, radius)[:, :2]
            uv = uv + 80 * missing / np.maximum(radius, 1.0)[:, None]
        return uv


def points_at(uv: Points, radius: Scalars) -> Points:
    """Points in mm at the given directions and radii."""
    return HEAD_CENTRE + directions_from_uv(uv) * radius[:, None]


def _ellipsoid_radius(
    directions: Points,
    centre: tuple[float, float, float],
    axis: tuple[float, float, float],
    half_lengths: tuple[float, float, float],
) -> Scalars:
    """Radius at which each direction leaves an ellipsoid; beside it, a value that falls steeply but continuously."""
    along = np.array(axis) / np.linalg.norm(axis)
    sideways = np.cross([0.0, 1.0, 0.0], along)
    sideways /= np.linalg.norm(sideways)
    to_sphere = np.stack([along, np.cross(along, sideways), sideways]) / np.array(half_lengths)[:, None]
    start, step = to_sphere @ (HEAD_CENTRE - centre), directions @ to_sphere.T
    a, b, c = (step**2).sum(axis=1), step @ start, start @ start - 1
    discriminant = b**2 - a * c
    root = np.sqrt(np.abs(discriminant))
    return np.asarray((-b + np.where(discriminant > 0, root, -_BEYOND_OUTLINE * root)) / a)


def _control_points() -> Points:
    """All authored points of both halves, rows resampled so finely that the spline does not ripple between them."""
    points = [(0.0, y, z) for y, z in MIDLINE]
    for y, row in (forehead_rows() | FACE_ROWS | jaw_rows()).items():
        points += _resampled_row(y, row, crosses_midline=True)
    for y, row in CHEEK_ROWS.items():
        points += _resampled_row(y, row, crosses_midline=row[0][0] < 10)
    points += [(x, y, z) for x, profile in LIP_PROFILES.items() for y, z in profile]
    points += side_points()
    half = np.array(points, float)
    return np.concatenate([half, half[half[:, 0] > 0] * MIRROR])


def _resampled_row(y: float, row: Row, crosses_midline: bool) -> list[tuple[float, float, float]]:
    points = np.array(row, float)
    if crosses_midline:
        middle = np.array([[0.0, midline_depth(y)]])
        points = np.concatenate([points[::-1] * [-1, 1], middle, points])
    lengths = arc_lengths(points)
    lengths -= lengths[len(points) // 2] if crosses_midline else 0.0
    interpolator = (
        CubicSpline(lengths, points, bc_type="natural") if len(row) > 2 else PchipInterpolator(lengths, points)
    )
    fine = interpolator(np.linspace(0, lengths[-1], max(2, int(lengths[-1] / _ROW_STEP_MM) + 1)))
    return [(x, y, z) for x, z in fine if x > 0.8]


def _smoothing(points: Points) -> Scalars:
    """Tolerance of the spline: the sides of the face are smooth and sparsely authored, the nose and lips are exact."""
    x, y = np.abs(points[:, 0]), points[:, 1]
    lips = (y < -55) & (x < 27)
    return np.select([x > 42, x > 36, lips], [40.0, 10.0, 1.0], default=0.25)
