"""Published distances between points of adult faces, and the vertices between which they are measured here.

All but the last are from the 3D Facial Norms: S. M. Weinberg et al., "The 3D Facial Norms Database: Part 1", Cleft
Palate-Craniofacial Journal 53(6), 2016, its summary statistics by age and sex (`tdfnsummary.csv` of the database's
site as of August 2015): people of European ancestry in the USA, 3D photographs, the two widths over bone with calipers.
Their years of age from 18 to 40 were pooled here, 614 to 656 men and 1080 to 1216 women. The palpebral height is from
N. Knezi et al., "Morphometric Analysis of the Palpebral Fissure and Canthal Distance in Serbian Young Adults",
International Journal of Morphology 38(5), 2020, abstract: 45 men and 45 women together, photographs.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from pipelines.embedded_face.geometry import Indices
from pipelines.embedded_face.template import Template


class Sample(NamedTuple):
    """Mean and standard deviation of one sex in mm."""

    mean: float
    deviation: float


class PublishedDistance(NamedTuple):
    """A distance between two measured points; of what a face has twice, the average of both sides."""

    name: str
    first: str
    second: str
    men: Sample
    women: Sample

    @property
    def mean(self) -> float:
        """Of men and women in equal parts, mm."""
        return (self.men.mean + self.women.mean) / 2

    @property
    def deviation(self) -> float:
        """Standard deviation of men and women in equal parts, mm."""
        within = (self.men.deviation**2 + self.women.deviation**2) / 2
        return math.sqrt(within + ((self.men.mean - self.women.mean) / 2) ** 2)


# Names of points: Farkas' abbreviations; `_r` and `_l` are the person's right and left.
PUBLISHED_DISTANCES = (
    PublishedDistance("outer canthal width", "ex_r", "ex_l", Sample(88.94, 3.95), Sample(85.52, 3.85)),
    PublishedDistance("inner canthal width", "en_r", "en_l", Sample(32.75, 2.92), Sample(31.30, 2.75)),
    PublishedDistance("palpebral fissure length", "ex_r", "en_r", Sample(28.80, 1.89), Sample(27.86, 1.97)),
    PublishedDistance("nasal width", "al_r", "al_l", Sample(36.13, 2.59), Sample(32.58, 2.30)),
    PublishedDistance("subnasal width", "sbal_r", "sbal_l", Sample(19.38, 2.74), Sample(17.40, 2.34)),
    PublishedDistance("nasal protrusion", "sn", "prn", Sample(21.04, 2.05), Sample(20.17, 1.96)),
    PublishedDistance("nasal ala length", "ac_r", "prn", Sample(35.44, 2.19), Sample(31.60, 1.89)),
    PublishedDistance("nasal height", "n", "sn", Sample(56.62, 3.95), Sample(54.68, 3.85)),
    PublishedDistance("nasal bridge length", "n", "prn", Sample(49.82, 3.90), Sample(47.33, 3.64)),
    PublishedDistance("facial height", "n", "gn", Sample(127.03, 6.60), Sample(118.51, 6.03)),
    PublishedDistance("upper facial height", "n", "sto", Sample(78.09, 4.53), Sample(74.16, 4.38)),
    PublishedDistance("lower facial height", "sn", "gn", Sample(73.00, 5.34), Sample(66.42, 4.97)),
    PublishedDistance("mouth width", "ch_r", "ch_l", Sample(50.75, 3.80), Sample(48.01, 3.48)),
    PublishedDistance("philtrum width", "cph_r", "cph_l", Sample(13.29, 1.76), Sample(11.80, 1.67)),
    PublishedDistance("philtrum length", "sn", "ls", Sample(16.29, 2.72), Sample(14.17, 2.48)),
    PublishedDistance("upper lip height", "sn", "sto", Sample(22.58, 2.68), Sample(20.42, 2.55)),
    PublishedDistance("upper vermilion height", "ls", "sto", Sample(7.59, 1.75), Sample(7.40, 1.43)),
    PublishedDistance("lower vermilion height", "sto", "li", Sample(8.78, 2.30), Sample(8.65, 1.96)),
    PublishedDistance("lower lip height", "sto", "sl", Sample(19.21, 2.84), Sample(17.59, 2.26)),
    PublishedDistance("cutaneous lower lip height", "li", "sl", Sample(12.40, 2.66), Sample(10.70, 2.22)),
    PublishedDistance("facial width", "zy_r", "zy_l", Sample(137.56, 6.32), Sample(129.85, 5.37)),
    PublishedDistance("mandibular width", "go_r", "go_l", Sample(104.20, 7.42), Sample(96.89, 6.95)),
    PublishedDistance("palpebral fissure height", "ps_r", "pi_r", Sample(9.38, 1.555), Sample(9.38, 1.555)),
)

_LANDMARKS = {
    "n": 27, "prn": 30, "sn": 33, "ls": 51, "sto": 62, "li": 57, "gn": 8,
    "ex_r": 36, "ex_l": 45, "en_r": 39, "en_l": 42, "ps_r": 38, "pi_r": 40,
    "ch_r": 48, "ch_l": 54, "cph_r": 50, "cph_l": 52, "zy_r": 1, "zy_l": 15, "go_r": 4, "go_l": 12,
}  # fmt: skip
# Points beside the 68 landmarks: x, y, z in mm on the person's left half and the midline of the mean face.
_LEFT_POINTS = {"al": (17.0, -39.0, -5.0), "ac": (17.2, -40.0, -13.0), "sbal": (9.0, -46.0, -3.9)}
_MIDLINE_POINTS = {"sl": (0.0, -86.0, -5.8)}


def measured_vertices(template: Template, landmarks: Indices) -> dict[str, int]:
    """The vertex of each point that a published distance refers to."""
    vertices = {name: int(landmarks[number]) for name, number in _LANDMARKS.items()}
    for name, point in _LEFT_POINTS.items():
        left = _nearest(template, point, on_midline=False)
        vertices |= {f"{name}_l": left, f"{name}_r": int(template.mirror[left])}
    return vertices | {name: _nearest(template, point, on_midline=True) for name, point in _MIDLINE_POINTS.items()}


def _nearest(template: Template, point: tuple[float, float, float], on_midline: bool) -> int:
    at_midline = template.mirror == np.arange(len(template.mirror))
    candidates = np.flatnonzero(template.on_surface & (at_midline == on_midline))
    return int(candidates[cKDTree(template.vertices[candidates]).query(point)[1]])
