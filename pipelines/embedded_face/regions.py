"""Soft masks of the parts of the face (0 to 1 per vertex), for paint and deformations, and each vertex's segment."""

from dataclasses import dataclass

import numpy as np
from matplotlib.path import Path as PlanarPath
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.segments import SEGMENT_INDEX
from pipelines.embedded_face.authored import BROW, EYE_CENTRE, LID_CREASE
from pipelines.embedded_face.details import nostril_weight
from pipelines.embedded_face.geometry import (
    Mask,
    Points,
    Scalars,
    bell,
    distance_to_polyline,
    folded,
    ridge,
    smoothstep,
)
from pipelines.embedded_face.template import Part, Template

# Half width of the brow in mm along its curve, from head to tail, and its density at the ends.
_BROW_WIDTHS = ((0.0, 0.12, 0.5, 0.8, 1.0), (2.6, 3.9, 3.7, 2.6, 1.2))
_BROW_DENSITIES = ((0.0, 0.06, 0.9, 1.0), (0.55, 0.95, 0.95, 0.5))
# Lower edge of the beard on the cheek: x, y.
_BEARD_LINE = ((0.0, 20.0, 28.0, 40.0, 56.0, 66.0), (-60.0, -62.0, -70.0, -66.0, -45.0, -20.0))
# Half width of the nose by height: y ascending.
_NOSE_HEIGHTS, _NOSE_HALF_WIDTHS = (-47.0, -40.0, -33.0, -20.0, -8.0, 6.0), (13.0, 19.5, 18.0, 13.0, 9.5, 8.0)


@dataclass(frozen=True)
class SoftRegions:
    """Weights in 0..1 per vertex; distances in mm."""

    lips: Scalars
    lip_line: Scalars
    brows: Scalars
    upper_lashes: Scalars
    lower_lashes: Scalars
    lid_crease: Scalars
    nostrils: Scalars
    beard: Scalars
    cheeks: Scalars
    nose_tip: Scalars
    nose: Scalars
    forehead: Scalars
    chin: Scalars
    under_eyes: Scalars
    lids: Scalars
    inner_canthus: Scalars  # of the eyeball
    iris_distance: Scalars  # from the axis of the eye
    brow_curve: Points  # (7, 3), on the skin of the left half


def soft_regions(template: Template) -> SoftRegions:
    """All masks of the mean face."""
    points, skin = folded(template.vertices), template.is_part(Part.SKIN)
    curves, vertices = template.curves, template.vertices
    lips = _lips(template, points)
    brow_curve = _brow_curve(points[skin])
    eyeball = template.is_part(Part.EYEBALL)
    upper_lid = distance_to_polyline(points, vertices[curves.upper_lid])
    crease = distance_to_polyline(points, _on_nearest_skin(points[skin], LID_CREASE))
    canthus = np.linalg.norm(points - vertices[curves.upper_lid[0]], axis=1)

    def of_skin(weight: Scalars) -> Scalars:
        return np.asarray(weight * skin)

    return SoftRegions(
        lips=lips,
        lip_line=of_skin(ridge(distance_to_polyline(points, vertices[curves.mouth.lower_lip]).distance, 0.9)),
        brows=of_skin(_brows(points, brow_curve)),
        upper_lashes=of_skin(ridge(upper_lid.distance, 1.0) * smoothstep(upper_lid.parameter, 0.08, 0.3)),
        lower_lashes=of_skin(0.5 * ridge(distance_to_polyline(points, vertices[curves.lower_lid]).distance, 0.7)),
        lid_crease=of_skin(ridge(crease.distance, 1.0) * np.sqrt(np.sin(np.pi * crease.parameter).clip(0))),
        nostrils=nostril_weight(template),
        beard=of_skin(_beard(points) * (1 - lips)),
        cheeks=of_skin(bell(points, (40, -28, -18), (15, 14, 18))),
        nose_tip=of_skin(bell(points, (0, -38, 10), (13, 10, 16))),
        nose=of_skin(bell(points, (0, -22, 4), (13, 26, 26))),
        forehead=of_skin(bell(points, (0, 45, -10), (36, 20, 26))),
        chin=of_skin(bell(points, (0, -96, -6), (17, 12, 14))),
        under_eyes=of_skin(bell(points, (30, -13, -20), (14, 5, 12))),
        lids=of_skin(bell(points, (31, 8, -19), (14, 7, 10))),
        inner_canthus=np.asarray(ridge(canthus, 3.2) * eyeball),
        iris_distance=np.hypot(points[:, 0] - EYE_CENTRE[0], points[:, 1] - EYE_CENTRE[1]),
        brow_curve=brow_curve,
    )


def vertex_segments(template: Template, regions: SoftRegions) -> NDArray[np.uint8]:
    """The segment (number in `models.segments.SEGMENTS`) of each vertex; later names win where parts overlap."""
    inside = [Part.CAVITY, Part.UPPER_TEETH, Part.LOWER_TEETH]
    members = {
        "nose": _nose(folded(template.vertices)),
        "brows": regions.brows > 0.35,
        "lips": regions.lips > 0.5,
        "eyes": template.is_part(Part.EYEBALL),
        "inner_mouth": template.is_part(*inside),
    }
    segments = np.full(len(template.vertices), SEGMENT_INDEX["skin"], np.uint8)
    for name, mask in members.items():
        segments[mask] = SEGMENT_INDEX[name]
    return segments


def _on_nearest_skin(skin: Points, curve: tuple[tuple[float, float], ...]) -> Points:
    """The curve with the depth of the skin vertex nearest to each of its corners in the frontal view."""
    frontal = np.array(curve, float)
    return np.column_stack([frontal, skin[cKDTree(skin[:, :2]).query(frontal)[1], 2]])


def _brow_curve(skin: Points) -> Points:
    return _on_nearest_skin(skin, BROW)


def _brows(points: Points, curve: Points) -> Scalars:
    distance, parameter = distance_to_polyline(points, curve)
    width = np.interp(parameter, *_BROW_WIDTHS)
    return np.asarray(np.exp(-((distance / width) ** 4)) * np.interp(parameter, *_BROW_DENSITIES))


def _lips(template: Template, points: Points) -> Scalars:
    """The vermilion: 1 inside its borders and on the inner sides of the lips, with an edge of about a millimetre."""
    curves, vertices = template.curves, template.vertices
    border = np.concatenate([vertices[curves.upper_lip_border], vertices[curves.lower_lip_border][::-1][1:]])
    outline = np.concatenate([border[:, :2], border[::-1, :2] * [-1, 1]])
    inside = PlanarPath(outline).contains_points(vertices[:, :2]) & template.on_surface & (vertices[:, 2] > -16)
    distance = distance_to_polyline(points, border).distance
    lips = smoothstep(np.where(inside, distance, -distance), -0.6, 0.8) * template.is_part(Part.SKIN)
    mouth = curves.mouth
    lips[template.both_sides(mouth.rolls, mouth.upper_lip, mouth.lower_lip)] = 1.0
    return lips


def _beard(points: Points) -> Scalars:
    moustache = bell(points, (0, -53, 0), (20, 4.2, 18))
    below = smoothstep(np.interp(points[:, 0], *_BEARD_LINE) - points[:, 1], -2, 7)
    return np.maximum(moustache, below)


def _nose(points: Points) -> Mask:
    half_width = np.interp(points[:, 1], _NOSE_HEIGHTS, _NOSE_HALF_WIDTHS, left=0.0, right=0.0)
    return np.asarray((points[:, 0] < half_width) & (points[:, 2] > -17))
