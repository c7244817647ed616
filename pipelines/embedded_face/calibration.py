"""Gains of independent fields with which distances between points of random faces vary as published."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from pipelines.embedded_face.anthropometry import PUBLISHED_DISTANCES, PublishedDistance, measured_vertices
from pipelines.embedded_face.geometry import Indices, Points
from pipelines.embedded_face.modes import Fields
from pipelines.embedded_face.template import Template

_LEAST_SHARE = 0.25  # of its authored variance that a field keeps
_STIFFNESS = 0.09  # one authored variance too many or too few weighs like a variance that is off by this share
_DECIMALS = 3  # of a gain, so that the last bits of a processor's arithmetic do not reach the modes


class Effects(NamedTuple):
    """First-order changes of published distances."""

    distances: tuple[PublishedDistance, ...]
    change: NDArray[np.float64]  # (D, N), mm per unit of the coefficient of each field


def distance_effects(fields: Fields, template: Template, landmarks: Indices) -> Effects:
    """How much each field lengthens each published distance of the mean face."""
    vertex = measured_vertices(template, landmarks)
    rows = [
        _lengthening(fields, template.vertices, vertex[distance.first], vertex[distance.second])
        for distance in PUBLISHED_DISTANCES
    ]
    return Effects(PUBLISHED_DISTANCES, np.stack(rows))


def calibrated_gains(effects: Effects, group: Indices, authored: NDArray[np.float64]) -> NDArray[np.float64]:
    """The gain of each group of fields, (G,), nearest to the `authored` ones.

    To first order the variance of a distance is a sum over the fields, each with the square of its gain: a
    non-negative least squares problem in the squares. All its equations count relatively.
    """
    targets = np.array([distance.deviation for distance in effects.distances]) ** 2
    shares = np.stack([(effects.change[:, group == g] ** 2).sum(axis=1) for g in range(len(authored))], axis=1)
    shares *= authored**2 / targets[:, None]  # of the published variance, when each group keeps its authored gain
    equations = np.concatenate([shares, _STIFFNESS * np.eye(len(authored))])
    values = np.concatenate([np.ones(len(targets)), np.full(len(authored), _STIFFNESS)])
    above_least, _ = nnls(equations, values - _LEAST_SHARE * equations.sum(axis=1))
    return np.asarray(np.round(authored * np.sqrt(_LEAST_SHARE + above_least), _DECIMALS))


def _lengthening(fields: Fields, vertices: Points, first: int, second: int) -> NDArray[np.float64]:
    """Change of the distance between two vertices, (N,), mm."""
    between = vertices[first] - vertices[second]
    return np.asarray((fields[:, first] - fields[:, second]) @ (between / np.linalg.norm(between)), np.float64)
