"""Small geometric helpers on numpy arrays, shared by the parts of the embedded face model; lengths in mm."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

Points = NDArray[np.float64]  # (N, 3) or (N, 2)
Scalars = NDArray[np.float64]  # (N,)
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
MIRROR = np.array([-1.0, 1.0, 1.0])


class PolylineDistance(NamedTuple):
    """Distance of points to a polyline, and where along it (0 to 1, by arc length) the nearest point lies."""

    distance: Scalars
    parameter: Scalars


def folded(points: Points) -> Points:
    """The points with those of the person's right half mirrored onto the left half (x >= 0)."""
    result = points.copy()
    result[:, 0] = np.abs(result[:, 0])
    return result


def smoothstep(values: ArrayLike, start: float, end: float) -> Scalars:
    """A cubic step from 0 at `start` to 1 at `end`."""
    fraction = np.clip((np.asarray(values, float) - start) / (end - start), 0.0, 1.0)
    return np.asarray(fraction * fraction * (3 - 2 * fraction))


def bell(points: Points, centre: ArrayLike, radii: ArrayLike) -> Scalars:
    """Gaussian bell exp(-d²) with d measured in `radii` along each axis."""
    scaled = (points - np.asarray(centre, float)) / np.asarray(radii, float)
    return np.asarray(np.exp(-(scaled**2).sum(axis=1)))


def ridge(distance: Scalars, radius: float, power: float = 2.0) -> Scalars:
    """Cross-section exp(-(d / radius)^power) of a fold, groove or line of paint along a curve."""
    return np.asarray(np.exp(-((distance / radius) ** power)))


def soft_maximum(first: Scalars, second: Scalars, width: float) -> Scalars:
    """The larger value, with a rounded transition of about `width` where both are close."""
    weight = np.clip(0.5 + 0.5 * (first - second) / width, 0.0, 1.0)
    return np.asarray(second * (1 - weight) + first * weight + width * weight * (1 - weight))


def arc_lengths(points: Points) -> Scalars:
    """Length along a polyline up to each of its points."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def resampled(points: ArrayLike, count: int) -> Points:
    """A smooth curve through `points`, given by `count` points at equal arc length."""
    corners = np.asarray(points, float)
    spline = PchipInterpolator(arc_lengths(corners), corners, axis=0)
    parameters = np.linspace(0, arc_lengths(corners)[-1], 400)
    lengths = arc_lengths(spline(parameters))
    return np.asarray(spline(np.interp(np.linspace(0, lengths[-1], count), lengths, parameters)))


def distance_to_polyline(points: Points, polyline: Points) -> PolylineDistance:
    """Distance of each point to a polyline of at least two corners."""
    lengths = arc_lengths(polyline)
    nearest, parameter = np.full(len(points), np.inf), np.zeros(len(points))
    for start, end, length in zip(polyline[:-1], polyline[1:], lengths[:-1], strict=True):
        edge = end - start
        along = np.clip((points - start) @ edge / (edge @ edge), 0.0, 1.0)
        distance = np.linalg.norm(points - start - along[:, None] * edge, axis=1)
        closer = distance < nearest
        nearest[closer] = distance[closer]
        parameter[closer] = (length + along * np.linalg.norm(edge))[closer] / lengths[-1]
    return PolylineDistance(nearest, parameter)


def vertex_normals(vertices: Points, triangles: Indices) -> Points:
    """Unit normals, the area-weighted mean over the triangles around a vertex; zero where there is none."""
    corners = vertices[triangles]
    of_triangles = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], of_triangles)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9))


def farthest_points(points: Points, count: int) -> Indices:
    """Indices of `count` points spread evenly: each is the one farthest from those before it."""
    chosen = [0]
    distance = np.full(len(points), np.inf)
    for _ in range(count - 1):
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(distance.argmax()))
    return np.array(chosen)
