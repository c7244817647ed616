"""Folds, grooves and ridges that are finer than the authored rows, as displacements along the surface normals."""

from dataclasses import replace

import numpy as np
from matplotlib.path import Path as PlanarPath
from scipy.sparse import csr_matrix

from pipelines.embedded_face.authored import EYE_CENTRE, LID_CREASE, Row
from pipelines.embedded_face.geometry import (
    MIRROR,
    Indices,
    Points,
    Scalars,
    distance_to_polyline,
    folded,
    ridge,
    smoothstep,
)
from pipelines.embedded_face.radial import RadialSurface
from pipelines.embedded_face.template import Template

# fmt: off
_LOWER_LID_ROLL: Row = ((18, -5.2), (22, -7.6), (27, -9.2), (32, -9.6), (37, -8.6), (41.5, -6.0))
_TEAR_TROUGH: Row = ((15.5, -6), (18, -10), (22, -13.6), (27, -15.6))
_NASOLABIAL_FOLD: Row = ((19.8, -38), (22.8, -44), (25.8, -51), (28.6, -58), (30.2, -64))
_PHILTRUM: Row = ((0.01, -48.5), (0.01, -52), (0.01, -55.5))
_PHILTRUM_COLUMN: Row = ((2.9, -48.5), (3.8, -52.5), (5.0, -56.4))
_ALAR_GROOVE = (
    (11.2, -31.5, 4.0), (13.6, -32.2, -0.6), (16.0, -33.6, -6.0), (18.0, -36.0, -11.6), (18.8, -39.5, -13.6),
    (18.3, -43.5, -13.8),
)
# fmt: on
_NOSTRIL_PUSH = (-0.5, 4.8, 3.2)  # mm, of the middle of the opening
_NOSTRIL_EDGE_MM = 1.8  # within the rim, over which the opening deepens


def with_details(template: Template, surface: RadialSurface) -> Template:
    """The template with folds and grooves, lightly smoothed, exactly symmetric."""
    points = folded(template.vertices)
    height = (
        _nose_relief(points)
        + _eye_relief(points, surface)
        + _cheek_and_lip_relief(points, surface)
        + _border_relief(points, template)
    )
    height[template.both_sides(template.curves.mouth.upper_lip, template.curves.mouth.lower_lip)] = 0.0
    moved = template.vertices.copy()
    skin = template.on_surface
    moved[skin] += surface.normals(template.directions[skin]) * height[skin, None]
    moved[skin] += _nostril_push(points, template)[skin] * np.where(template.vertices[skin, :1] < 0, MIRROR, 1.0)
    moved = _smoothed(moved, template)
    return replace(template, vertices=(moved + moved[template.mirror] * MIRROR) / 2)


def nostril_weight(template: Template) -> Scalars:
    """1 inside the nostrils, 0 elsewhere."""
    return smoothstep(_within_nostril(template), 0.0, _NOSTRIL_EDGE_MM)


def _scaled_distance(points: Points, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Scalars:
    return np.asarray(np.linalg.norm((points - centre) / np.asarray(radii), axis=1))


def _within_nostril(template: Template) -> Scalars:
    """Distance of each vertex from the rim of its nostril, mm on the undisplaced skin; 0 outside the nostrils."""
    directions = template.directions * np.where(template.directions[:, :1] < 0, [[-1, 1]], 1)
    rim = template.directions[template.curves.nostril_rim]
    inside = PlanarPath(rim).contains_points(directions) & template.on_surface
    distance = distance_to_polyline(directions, np.concatenate([rim, rim[:1]])).distance
    return np.asarray(np.where(inside, distance, 0.0))


def _arch(parameter: Scalars) -> Scalars:
    """Zero at both ends of a curve, one in its middle."""
    return np.sin(np.pi * np.clip(parameter, 0, 1))


def _nose_relief(points: Points) -> Scalars:
    groove = distance_to_polyline(points, np.array(_ALAR_GROOVE))
    return np.asarray(-0.6 * ridge(groove.distance, 1.6) * np.clip(groove.parameter * 3, 0.3, 1))


def _nostril_push(points: Points, template: Template) -> Points:
    """The nostrils go up and a little forwards, the columella between them down."""
    columella = _scaled_distance(points, (0.0, -44.0, 6.5), (2.6, 2.5, 5.0))
    opening = nostril_weight(template)
    return np.outer(opening, _NOSTRIL_PUSH) + np.outer(np.exp(-(columella**2)), [0.0, -0.8, 0.3])


def _on_skin(surface: RadialSurface, curve: Row) -> Points:
    return surface.points(surface.uv_at(np.array(curve, float)))


def _eye_relief(points: Points, surface: RadialSurface) -> Scalars:
    crease_curve = _on_skin(surface, LID_CREASE)
    crease = distance_to_polyline(points, crease_curve)
    fold = distance_to_polyline(points, crease_curve + np.array([0, 3.0, 0]))
    roll = distance_to_polyline(points, _on_skin(surface, _LOWER_LID_ROLL))
    trough = distance_to_polyline(points, _on_skin(surface, _TEAR_TROUGH))
    return np.asarray(
        -0.8 * ridge(crease.distance, 1.3) * _arch(crease.parameter)
        + 0.8 * ridge(fold.distance, 2.4) * _arch(fold.parameter)
        - 0.35 * ridge(roll.distance, 1.3) * _arch(roll.parameter)
        - 0.45 * ridge(trough.distance, 2.2)
    )


def _cheek_and_lip_relief(points: Points, surface: RadialSurface) -> Scalars:
    nasolabial = distance_to_polyline(points, _on_skin(surface, _NASOLABIAL_FOLD))
    philtrum = distance_to_polyline(points, _on_skin(surface, _PHILTRUM))
    column = distance_to_polyline(points, _on_skin(surface, _PHILTRUM_COLUMN))
    return np.asarray(
        -0.55 * ridge(nasolabial.distance, 2.0) * _arch(nasolabial.parameter * 0.9 + 0.08)
        - 0.55 * ridge(philtrum.distance, 1.9)
        + 0.40 * ridge(column.distance, 1.8)
    )


def _border_relief(points: Points, template: Template) -> Scalars:
    """Raised borders of the lips."""
    curves, vertices = template.curves, template.vertices
    upper = distance_to_polyline(points, vertices[curves.upper_lip_border])
    lower = distance_to_polyline(points, vertices[curves.lower_lip_border])
    return np.asarray(0.4 * ridge(upper.distance, 1.0) + 0.25 * ridge(lower.distance, 1.0))


def _adjacency(triangles: Indices, count: int) -> csr_matrix:
    rows = triangles[:, [0, 1, 2, 1, 2, 0]].ravel()
    columns = triangles[:, [1, 2, 0, 0, 1, 2]].ravel()
    matrix = csr_matrix((np.ones(len(rows)), (rows, columns)), (count, count))
    matrix.data[:] = 1
    return matrix


def _smoothed(vertices: Points, template: Template) -> Points:
    """Ten Taubin steps on sides, brow, eyes, nose and lips, where rows of control points or details could show."""
    adjacency = _adjacency(template.skin_triangles, len(vertices))
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    x, y = np.abs(vertices[:, 0]), vertices[:, 1]
    weight = 0.8 * np.clip((x - 30) / 15, 0, 1)
    weight = np.maximum(weight, 0.5 * ((y < -50) & (y > -80) & (x < 30)))
    weight = np.maximum(weight, 0.7 * ((y > 9) & (y < 30)))
    weight = np.maximum(weight, 0.8 * ((y < -28) & (y >= -50) & (x < 24)))
    weight = np.maximum(weight, 0.6 * (np.hypot(x - EYE_CENTRE[0], y) < 20))
    curves = template.curves
    fixed = template.both_sides(
        curves.boundary,
        curves.lid_loop,
        curves.nostril_rim,
        curves.mouth.upper_lip,
        curves.mouth.lower_lip,
        curves.mouth.rolls,
    )
    weight[fixed] = 0.0
    weight[(degree == 0) | ~template.on_surface] = 0.0
    for _ in range(10):
        for step in (0.6, -0.55):
            mean = adjacency @ vertices / np.maximum(degree, 1)[:, None]
            vertices = vertices + step * weight[:, None] * (mean - vertices)
    return vertices
