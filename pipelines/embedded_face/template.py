"""The closed mesh of the mean face before its details: skin, a mouth that opens into a dark sack with teeth, eyeballs.

The left half is built from the flat triangulation and mirrored at the end, so the mesh is symmetric to the last bit.
"""

from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pipelines.embedded_face.authored import EYE_CENTRE, EYEBALL_RADIUS
from pipelines.embedded_face.geometry import MIRROR, Indices, Mask, Points, soft_maximum
from pipelines.embedded_face.mouth import MouthRows, inner_mouth_rows, strip
from pipelines.embedded_face.radial import RadialSurface, points_at
from pipelines.embedded_face.triangulation import HalfMesh, triangulate_half

_SOCKET_DEPTH_MM = 2.6  # of the tissue in the inner corner of the eye behind the skin
_CORNEA_HEIGHT_MM, _CORNEA_RADIUS_MM = 0.4, 4.4


class Part(IntEnum):
    """What a vertex belongs to."""

    SKIN = 0
    EYEBALL = 1
    CAVITY = 2
    UPPER_TEETH = 3
    LOWER_TEETH = 4


@dataclass(frozen=True)
class FeatureCurves:
    """Vertices along the curves of the left half, from the midline or the inner corner outwards."""

    boundary: Indices
    upper_lip_border: Indices
    lower_lip_border: Indices
    upper_lid: Indices
    lower_lid: Indices
    lid_loop: Indices  # once around the eye
    lid_crease: Indices
    nostril_rim: Indices  # once around
    mouth: MouthRows

    def renumbered(self, new_index: Indices) -> "FeatureCurves":
        """The same curves after vertex i has become `new_index[i]`."""
        names = [field.name for field in fields(self) if field.name != "mouth"]
        curves = {name: new_index[getattr(self, name)] for name in names}
        return replace(self, **curves, mouth=self.mouth.renumbered(new_index))


@dataclass(frozen=True)
class Template:
    """The mean face in mm (frame of `authored`), and what is known about each of its vertices."""

    vertices: Points
    directions: Points  # (V, 2), (u, v) on the radial surface; of the lip line for the inside of the mouth
    triangles: Indices  # counter-clockwise from outside
    skin_triangles: Indices  # those of the outer skin
    part: NDArray[np.int64]  # of each vertex, a Part
    on_surface: Mask  # whether a vertex lies on the radial surface
    mirror: Indices  # index of the mirrored vertex
    curves: FeatureCurves

    def is_part(self, *parts: Part) -> Mask:
        """Which vertices belong to one of the parts."""
        return np.isin(self.part, parts)

    def both_sides(self, *curves: Indices) -> Indices:
        """Indices of curves of the left half together with their mirror images."""
        left = np.concatenate(curves)
        return np.unique(np.concatenate([left, self.mirror[left]]))


class _Builder:
    """Vertices and triangles of the left half while they are being added."""

    def __init__(self, half: HalfMesh, skin: Points) -> None:
        count = len(half.uv)
        self.vertices, self.directions = skin, half.uv
        self.part = np.full(count, Part.SKIN, np.int64)
        self.on_surface = np.ones(count, bool)
        self.triangles: list[Indices] = []

    def add(self, points: Points, like: Indices, part: Part, on_surface: bool = False) -> Indices:
        """Append vertices that share the directions of `like`; their new indices."""
        first = len(self.vertices)
        self.vertices = np.concatenate([self.vertices, points])
        self.directions = np.concatenate([self.directions, self.directions[like]])
        self.part = np.concatenate([self.part, np.full(len(points), part)])
        self.on_surface = np.concatenate([self.on_surface, np.full(len(points), on_surface)])
        return np.arange(first, len(self.vertices))


def build_template(surface: RadialSurface) -> Template:
    """The mean face without its details (`details.with_details` adds them)."""
    half = triangulate_half(surface)
    builder = _Builder(half, surface.points(half.uv))
    skin = half.triangles[~half.in_eye]
    lower_lip = _cut_mouth(builder, half, skin)
    mouth = _add_mouth(builder, upper_lip=half.lip_line, lower_lip=lower_lip)
    loop = np.concatenate([half.upper_lid, half.lower_lid[1:-1][::-1]])
    _add_eye(builder, half.triangles[half.in_eye], loop=loop, surface=surface)
    curves = FeatureCurves(
        boundary=half.boundary,
        upper_lip_border=half.upper_lip_border,
        lower_lip_border=half.lower_lip_border,
        upper_lid=half.upper_lid,
        lower_lid=half.lower_lid,
        lid_loop=loop,
        lid_crease=half.lid_crease,
        nostril_rim=half.nostril_rim,
        mouth=mouth,
    )
    return _mirrored(builder, skin, curves)


def _cut_mouth(builder: _Builder, half: HalfMesh, skin: Indices) -> Indices:
    """Give the triangles below the lip line their own copies of its vertices; the row of the lower lip."""
    lip, uv = half.lip_line, half.uv
    centres = uv[skin].mean(axis=1)
    below = np.isin(skin, lip[:-1]).any(axis=1) & (centres[:, 1] < np.interp(centres[:, 0], *uv[lip].T))
    below &= centres[:, 0] < uv[lip[-1], 0]
    copies = builder.add(builder.vertices[lip[:-1]], like=lip[:-1], part=Part.SKIN, on_surface=True)
    lower_copy = np.arange(len(builder.vertices))
    lower_copy[lip[:-1]] = copies
    skin[below] = lower_copy[skin[below]]
    return np.append(copies, lip[-1])


def _add_mouth(builder: _Builder, upper_lip: Indices, lower_lip: Indices) -> MouthRows:
    """The inner sides of the lips, both rows of teeth and the dark cavity, one closed sack that ends at the corner."""
    rows = inner_mouth_rows(builder.vertices[upper_lip])
    parts = dict.fromkeys(rows, Part.SKIN) | {
        "upper_gum": Part.UPPER_TEETH,
        "upper_edge": Part.UPPER_TEETH,
        "upper_back": Part.CAVITY,
        "lower_gum": Part.LOWER_TEETH,
        "lower_edge": Part.LOWER_TEETH,
        "lower_back": Part.CAVITY,
    }
    corner = upper_lip[-1:]
    ends: dict[float, Indices] = {}  # rows that end at the same point share that vertex
    indices: dict[str, Indices] = {}
    for name, points in rows.items():
        inner = builder.add(points[:-1], like=upper_lip[:-1], part=parts[name])
        key = float(points[-1, 2])
        if key not in ends:
            ends[key] = builder.add(points[-1:], like=corner, part=Part.SKIN if "roll" in name else Part.CAVITY)
        indices[name] = np.concatenate([inner, ends[key]])
    mouth = MouthRows(upper_lip=upper_lip, lower_lip=lower_lip, **indices)
    builder.triangles += [strip(upper, lower) for upper, lower in mouth.neighbours()]
    return mouth


def _add_eye(builder: _Builder, triangles: Indices, loop: Indices, surface: RadialSurface) -> None:
    """Turn the triangles inside the lids into the eyeball and join it to the lids by a strip, the lid margin."""
    inside = np.setdiff1d(triangles, loop)
    builder.vertices[inside] = _eyeball(builder.directions[inside], surface)
    builder.part[inside] = Part.EYEBALL
    builder.on_surface[inside] = False
    copies = builder.add(_eyeball(builder.directions[loop], surface), like=loop, part=Part.EYEBALL)
    renamed = np.arange(len(builder.vertices))
    renamed[loop] = copies
    builder.triangles.append(renamed[triangles])
    builder.triangles.append(strip(np.append(loop, loop[0]), np.append(copies, copies[0])))


def _eyeball(uv: Points, surface: RadialSurface) -> Points:
    """The globe with its cornea; at the inner corner it runs into the tissue behind the skin."""
    globe, tissue = surface.sphere_radius(uv, EYEBALL_RADIUS), surface.base_radius(uv) - _SOCKET_DEPTH_MM
    points = points_at(uv, soft_maximum(globe, tissue, 1.0))
    outward = points - EYE_CENTRE
    from_axis = np.hypot(outward[:, 0], outward[:, 1])
    cornea = _CORNEA_HEIGHT_MM * np.exp(-((from_axis / _CORNEA_RADIUS_MM) ** 4))
    return points + outward / np.linalg.norm(outward, axis=1, keepdims=True) * cornea[:, None]


def _mirrored(builder: _Builder, skin: Indices, curves: FeatureCurves) -> Template:
    """Both halves, joined along the midline."""
    count = len(builder.vertices)
    on_midline = np.abs(builder.directions[:, 0]) < 1e-6
    builder.vertices[on_midline, 0] = 0.0
    partner = np.where(on_midline, np.arange(count), np.arange(count) + count)
    kept = np.concatenate([np.ones(count, bool), ~on_midline])
    new_index = np.cumsum(kept) - 1
    mirror = np.empty(int(kept.sum()), np.int64)
    mirror[new_index[:count]] = new_index[partner]
    mirror[new_index[partner]] = new_index[:count]

    def doubled(triangles: Indices) -> Indices:
        return new_index[np.concatenate([triangles, partner[triangles][:, ::-1]])]

    return Template(
        vertices=np.concatenate([builder.vertices, builder.vertices * MIRROR])[kept],
        directions=np.concatenate([builder.directions, builder.directions * [-1, 1]])[kept],
        triangles=doubled(np.concatenate([skin, *builder.triangles])),
        skin_triangles=doubled(skin),
        part=np.tile(builder.part, 2)[kept],
        on_surface=np.tile(builder.on_surface, 2)[kept],
        mirror=mirror,
        curves=curves.renumbered(new_index),
    )
