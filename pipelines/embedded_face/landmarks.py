"""The 68 landmarks on the mesh: on the curves of the template, else the vertex nearest to an authored point."""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.spatial import cKDTree

from models.landmarks import LANDMARK_COUNT, LANDMARKS, MIRRORED, MOUTH_CORNERS, NOSE_TIP
from pipelines.embedded_face.geometry import Indices, Points
from pipelines.embedded_face.regions import SoftRegions
from pipelines.embedded_face.template import Template

# (landmark, x, y, z) in mm on the person's right half (x < 0) and the midline.
# fmt: off
_POINTS = (
    (0, -67, -4, -84), (1, -66.4, -22, -83), (2, -63.5, -40, -81), (3, -59, -57, -77), (4, -51.8, -74, -70),
    (5, -45, -87.5, -58), (6, -35.2, -98, -44), (7, -20.8, -106.5, -29), (8, 0, -110.7, -17.5),
    (27, 0, 5, -11.4), (28, 0, -9, -5), (29, 0, -22.5, 4.5), (30, 0, -36.6, 16.2),
    (31, -13.2, -44.2, -7.5), (32, -7.5, -45, -2.6), (33, 0, -44.7, 0.6),
)
# fmt: on
_BROW_POSITIONS = {22: 0.03, 23: 0.28, 24: 0.52, 25: 0.76, 26: 0.97}  # along the left brow
_BROW_RAISE_MM = 1.2  # the landmarks lie on the upper part of the hair
# x in mm on a curve of the left half; corners are given by the ends.
_ON_CURVES: dict[str, dict[int, float]] = {
    "upper_lid": {43: 26.0, 44: 36.5},
    "lower_lid": {47: 26.0, 46: 36.5},
    "upper_lip_border": {52: 5.4, 53: 15.0},
    "lower_lip_border": {55: 17.0, 56: 8.5},
    "upper_lip": {63: 8.0, 64: 22.5},
    "lower_lip": {65: 8.0},
}


def landmark_vertices(template: Template, regions: SoftRegions) -> Indices:
    """Vertex of each of the 68 landmarks, mirror-symmetric."""
    curves, mouth = template.curves, template.curves.mouth
    result = np.full(LANDMARK_COUNT, -1, np.int64)
    for number, vertex in _nearest_to_points(template, regions).items():
        result[number] = vertex
    lines = {
        "upper_lid": curves.upper_lid,
        "lower_lid": curves.lower_lid,
        "upper_lip_border": curves.upper_lip_border,
        "lower_lip_border": curves.lower_lip_border,
        "upper_lip": mouth.upper_lip,
        "lower_lip": mouth.lower_lip,
    }
    for name, positions in _ON_CURVES.items():
        for number, x in positions.items():
            result[number] = lines[name][np.abs(template.vertices[lines[name], 0] - x).argmin()]
    result[[42, 45, 54]] = curves.upper_lid[0], curves.upper_lid[-1], mouth.upper_lip[-1]
    middle = (curves.upper_lip_border, curves.lower_lip_border, mouth.upper_lip, mouth.lower_lip)
    result[[51, 57, 62, 66]] = [curve[0] for curve in middle]
    return _mirrored(result, template.mirror)


def _nearest_to_points(template: Template, regions: SoftRegions) -> dict[int, int]:
    numbers = [*(int(point[0]) for point in _POINTS), *_BROW_POSITIONS]
    points = np.array([point[1:] for point in _POINTS], float)
    brow = PchipInterpolator(np.linspace(0, 1, len(regions.brow_curve)), regions.brow_curve)
    on_brow: Points = brow(list(_BROW_POSITIONS.values())) + np.array([0, _BROW_RAISE_MM, 0])
    wanted = np.concatenate([points, on_brow])
    on_midline = template.mirror == np.arange(len(template.mirror))
    result: dict[int, int] = {}
    for middle in (True, False):  # a point of the midline must not slip to one side
        candidates = np.flatnonzero(template.on_surface & (on_midline == middle))
        nearest = candidates[cKDTree(template.vertices[candidates]).query(wanted)[1]]
        chosen = (wanted[:, 0] == 0) == middle
        result |= {number: int(v) for number, v, use in zip(numbers, nearest, chosen, strict=True) if use}
    return result


def _mirrored(half: Indices, mirror: Indices) -> Indices:
    """Fill landmarks that are still -1 with the mirror images of their partners."""
    partners = half[list(MIRRORED)]
    return np.where(half >= 0, half, mirror[partners])


def alignment_centre(vertices: NDArray[np.floating], landmarks: Indices) -> NDArray[np.float64]:
    """Mean (3,) of the five alignment points of a face, in the unit of the vertices."""
    eyes = [vertices[landmarks[list(LANDMARKS[name])]].mean(axis=0) for name in ("right_eye", "left_eye")]
    others = vertices[landmarks[[NOSE_TIP, *MOUTH_CORNERS]]]
    return np.asarray(np.mean([*eyes, *others], axis=0))
