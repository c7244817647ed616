"""Expressions: 42 authored facial actions in mm at full activation, and the 100 modes that span them.

The actions have the common names of blend shapes; `_L` and `_R` are the person's left and right. Activations: 0 to 1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.embedded_face.authored import EYE_CENTRE, MOUTH_HALF_WIDTH
from pipelines.embedded_face.fields import FieldAuthor
from pipelines.embedded_face.geometry import Indices, Mask, Points, Scalars, bell, folded, smoothstep
from pipelines.embedded_face.modes import Fields, principal_modes, spanning_modes
from pipelines.embedded_face.regions import SoftRegions
from pipelines.embedded_face.smooth_fields import Scale, displacement_fields, scalar_basis
from pipelines.embedded_face.template import Part, Template

_JAW_JOINT = (-20.0, -92.0)  # y, z of the axis of the jaw
_JAW_ANGLE_DEGREES, _JAW_DROP_MM = 15.0, 1.5
_UPPER_BLINK, _LOWER_BLINK = 0.86, 0.14  # share of the fissure that each lid closes
_LID_BULGE = 0.12  # mm outwards per mm of lid travel: the straight path of a vertex would cut through the eyeball


class ExpressionModes(NamedTuple):
    """Modes, each one standard deviation long, and what combination of them each action is."""

    modes: Fields  # (count, V, 3), mm
    action_names: tuple[str, ...]
    action_coefficients: NDArray[np.float64]  # (actions, count)


def expression_modes(template: Template, regions: SoftRegions, count: int) -> ExpressionModes:
    """Modes that span all actions exactly, filled up to `count` with smooth fields of the mouth, brows and cheeks."""
    actions = facial_actions(template, regions)
    spanning = spanning_modes(np.stack(list(actions.values())))
    smooth = _smooth_fields(template).reshape(-1, spanning.directions.shape[1])
    projected = spanning.directions.astype(np.float32)
    remainder = smooth - (smooth @ projected.T) @ projected
    filling = principal_modes(remainder.reshape(len(smooth), -1, 3), count - len(actions))
    coefficients = np.zeros((len(actions), count))
    coefficients[:, : len(actions)] = spanning.action_coefficients
    return ExpressionModes(np.concatenate([spanning.modes, filling]), tuple(actions), coefficients)


def facial_actions(template: Template, regions: SoftRegions) -> dict[str, Points]:
    """Displacements in mm of every action at full activation; eyeballs never move, upper teeth never either."""
    author = FieldAuthor(template.vertices)
    mouth = _mouth_weights(template, author)
    _jaw_actions(author, mouth.jaw)
    _corner_actions(author, mouth)
    _upper_face_actions(author, mouth)
    _lid_actions(author, template)
    _lip_actions(author, mouth)
    still = template.is_part(Part.EYEBALL)
    return {name: np.where(still[:, None], 0.0, field) for name, field in author.fields.items()}


@dataclass(frozen=True)
class _MouthWeights:
    """How strongly each vertex takes part in motions of the mouth, 0..1."""

    jaw: Scalars
    upper_lip: Scalars
    lower_lip: Scalars
    below: Mask  # belongs to the side of the lower lip
    soft: Scalars  # 0 for eyeballs and teeth


def _mouth_weights(template: Template, author: FieldAuthor) -> _MouthWeights:
    x, y, _ = author.points.T
    rows = template.curves.mouth
    upper_teeth, lower_teeth = template.both_sides(rows.upper_teeth), template.both_sides(rows.lower_teeth)
    lip = template.vertices[rows.lower_lip]
    below_lip_line = np.interp(x, lip[:, 0], lip[:, 1]) - y  # mm
    side = _side_of_mouth(template, below_lip_line)
    openness = np.sqrt(np.clip(1 - (x / MOUTH_HALF_WIDTH) ** 2, 0, 1))  # 1 at the middle, 0 beside the corner
    band = 10 + 0.45 * np.clip(x - 25, 0, 60)
    jaw = 0.5 * (1 + openness * side + (1 - openness) * np.tanh(1.3 * below_lip_line / band))
    jaw = np.where(y > -30, jaw * smoothstep(-y, 12, 32), jaw)
    jaw[upper_teeth], jaw[lower_teeth] = 0.0, 1.0
    jaw[template.is_part(Part.EYEBALL)] = 0.0
    soft = (~template.is_part(Part.EYEBALL)).astype(float)
    soft[np.concatenate([upper_teeth, lower_teeth])] = 0.0
    near_middle = np.clip(1.5 * openness, 0, 1) * soft
    return _MouthWeights(
        jaw=jaw,
        upper_lip=(side < 0) * near_middle * author.bell((0, -61, 0), (26, 9, 20)),
        lower_lip=(side > 0) * near_middle * author.bell((0, -72, -2), (25, 10, 20)),
        below=side > 0,
        soft=soft,
    )


def _side_of_mouth(template: Template, below_lip_line: Scalars) -> Scalars:
    """+1 for what hangs on the lower lip, -1 for the upper, 0 for the corner that both share."""
    rows = template.curves.mouth

    def members(*indices: Indices) -> Mask:
        mask = np.zeros(len(template.vertices), bool)
        mask[template.both_sides(*indices)] = True
        return mask

    upper = members(rows.upper_lip, rows.upper_roll_1, rows.upper_roll_2, rows.upper_teeth)
    lower = members(rows.lower_lip, rows.lower_roll_1, rows.lower_roll_2, rows.lower_teeth)
    pocket = members(rows.upper_back[-1:])
    conditions = [upper & lower | pocket, lower, upper, template.is_part(Part.EYEBALL)]
    return np.select(conditions, [0.0, 1.0, -1.0, -1.0], default=np.sign(below_lip_line))


def _jaw_actions(author: FieldAuthor, jaw: Scalars) -> None:
    y, z = author.vertices[:, 1] - _JAW_JOINT[0], author.vertices[:, 2] - _JAW_JOINT[1]
    angle = np.deg2rad(_JAW_ANGLE_DEGREES) * jaw
    author.add(
        "jawOpen",
        up=y * np.cos(angle) - z * np.sin(angle) - y - _JAW_DROP_MM * jaw,
        forward=y * np.sin(angle) + z * np.cos(angle) - z,
    )
    author.add("jawForward", forward=4 * jaw)
    author.add_sideways("jawLeft", 5 * jaw)


def _corner_actions(author: FieldAuthor, mouth: _MouthWeights) -> None:
    corner = author.bell((26, -67, -11), (15, 12, 20)) * mouth.soft
    around = author.bell((30, -64, -13), (24, 20, 24)) * mouth.soft
    cheek = author.bell((40, -34, -18), (17, 15, 22)) * mouth.soft
    author.add_sides(
        "mouthSmile",
        outward=5 * corner + 2 * around,
        up=5 * corner + 2.8 * around + 3.2 * cheek,
        forward=-3 * corner - 1.2 * around + 2.2 * cheek,
    )
    author.add_sides("mouthFrown", outward=0.5 * corner, up=-5.5 * corner - 1.5 * around, forward=-0.5 * corner)
    author.add_sides(
        "mouthStretch",
        outward=5 * corner + 2.5 * around,
        up=-1.5 * corner - 1.5 * around,
        forward=-3.2 * corner,
    )
    author.add_sides("mouthDimple", outward=3 * corner, forward=-3.5 * corner)
    author.add_sides("cheekSquint", up=3.5 * cheek, forward=2 * cheek)


def _upper_face_actions(author: FieldAuthor, mouth: _MouthWeights) -> None:
    def bell_at(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Scalars:
        return author.bell(centre, radii) * mouth.soft

    upper, lower = mouth.upper_lip, mouth.lower_lip
    author.add_sides("mouthUpperUp", up=5 * upper + 1.8 * bell_at((20, -42, -12), (10, 14, 16)), forward=0.8 * upper)
    author.add_sides("mouthLowerDown", up=-5 * lower, forward=-0.6 * lower)
    author.add_sides(
        "noseSneer",
        outward=0.9 * bell_at((15, -38, -4), (7, 8, 12)),
        up=2.6 * bell_at((13, -36, -2), (10, 14, 18)) + 1.6 * upper,
        forward=-0.6 * bell_at((19, -36, -12), (6, 8, 10)),
    )
    author.add_sides(
        "cheekPuff",
        outward=5 * bell_at((45, -62, -32), (18, 18, 26)),
        forward=5 * bell_at((38, -62, -22), (17, 17, 22)),
    )
    author.add_sides("browInnerUp", up=6 * bell_at((12, 20, -10), (13, 17, 18)))
    author.add_sides("browOuterUp", up=5.5 * bell_at((38, 20, -18), (15, 15, 22)))
    author.add_sides(
        "browDown",
        outward=-2 * bell_at((12, 18, -10), (10, 11, 14)),
        up=-4.6 * bell_at((20, 19, -11), (20, 13, 18)),
        forward=0.8 * bell_at((10, 18, -9), (10, 10, 12)),
    )


def _lid_actions(author: FieldAuthor, template: Template) -> None:
    for name, upper, lower in (
        ("eyeBlink", _UPPER_BLINK, _LOWER_BLINK),
        ("eyeSquint", 0.22, 0.30),
        ("eyeWide", -0.20, -0.04),
    ):
        up, forward = _lid_motion(author.points, template, upper=upper, lower=lower)
        author.add_sides(name, up=up, forward=forward)


def _lid_motion(points: Points, template: Template, upper: float, lower: float) -> tuple[Scalars, Scalars]:
    """Motion (up, forward) of both lids along the sphere of the eye, by shares of the opening between them."""
    x, y, _ = points.T
    upper_lid, lower_lid = (
        template.vertices[curve] for curve in (template.curves.upper_lid, template.curves.lower_lid)
    )
    upper_edge, lower_edge = (np.interp(x, lid[:, 0], lid[:, 1]) for lid in (upper_lid, lower_lid))
    opening = (upper_edge - lower_edge) * ((x > upper_lid[0, 0]) & (x < upper_lid[-1, 0]))
    near = template.is_part(Part.SKIN) & (np.abs(y) < 16) & (np.abs(x - EYE_CENTRE[0]) < 20)
    upper_weight = near * (y >= upper_edge - 0.3) * np.exp(-((np.clip(y - upper_edge, 0, None) / 5.2) ** 2))
    lower_weight = near * (y <= lower_edge + 0.3) * np.exp(-((np.clip(lower_edge - y, 0, None) / 4.5) ** 2))
    up, forward = np.zeros(len(points)), np.zeros(len(points))
    for weight, travel in ((upper_weight, -upper * opening), (lower_weight, lower * opening)):
        moved = _along_sphere(points, weight * travel)
        up += moved.up
        forward += 0.75 * moved.forward * np.clip(1.2 * weight, 0, 1)
        forward += _LID_BULGE * np.abs(moved.up)
    return up, forward


class _SphereMotion(NamedTuple):
    up: Scalars
    forward: Scalars


def _along_sphere(points: Points, up: Scalars) -> _SphereMotion:
    """The motion that keeps each point's distance from the centre of the eye; none behind it or beyond 22 mm."""
    offset = points - EYE_CENTRE
    squared_radius = (offset**2).sum(axis=1)
    rest = squared_radius - offset[:, 0] ** 2 - (offset[:, 1] + up) ** 2
    forward = EYE_CENTRE[2] + np.sqrt(np.maximum(rest, 1.0)) - points[:, 2]
    near = (squared_radius < 22.0**2) & (offset[:, 2] > 0)
    return _SphereMotion(up * near, forward * near)


def _lip_actions(author: FieldAuthor, mouth: _MouthWeights) -> None:
    x, y, _ = author.points.T
    upper, lower = mouth.upper_lip, mouth.lower_lip
    lips = author.bell((0, -67, -2), (30, 13, 22)) * mouth.soft
    pucker = {
        "outward": -0.42 * x * lips,
        "up": -0.10 * (y + 67) * lips,
        "forward": 4.5 * lips * np.clip(1.1 - x / 40, 0, 1),
    }
    author.add("mouthPucker", **pucker)
    author.add(
        "mouthFunnel",
        outward=0.75 * pucker["outward"],
        up=0.75 * pucker["up"] + 2.6 * upper - 3 * lower,
        forward=0.75 * pucker["forward"] + 1.5 * (upper + lower),
    )
    chin_pad = author.bell((0, -80, -4), (26, 17, 24)) * mouth.soft * mouth.below
    author.add("mouthRollUpper", up=-1.8 * upper, forward=-2 * upper)
    author.add("mouthRollLower", up=1.8 * lower, forward=-2.4 * lower)
    author.add("mouthShrugUpper", up=2 * upper, forward=upper)
    author.add("mouthShrugLower", up=2.6 * chin_pad, forward=1.6 * lower)
    author.add_sideways("mouthLeft", 4.5 * author.bell((0, -67, -4), (30, 14, 24)) * mouth.soft)
    author.add_sides("mouthPress", up=-0.8 * upper + 0.9 * lower, forward=-(upper + lower))


def _smooth_fields(template: Template) -> NDArray[np.float32]:
    """Random fields where faces move; the lips stay together, because both lips take the value of the same point."""
    points = folded(template.vertices)
    mouth = bell(points, (0, -67, -3), (32, 18, 26))
    brows = 0.7 * bell(points, (25, 18, -12), (26, 14, 20))
    cheeks = 0.4 * bell(points, (38, -40, -18), (22, 26, 26))
    weight = 0.6 * np.maximum.reduce([mouth, brows, cheeks]) * ~template.is_part(Part.EYEBALL)
    basis = scalar_basis(template.vertices, [Scale(18.0, 0.55)], count=90, landmarks=450)
    return displacement_fields(basis, symmetry=0.9) * weight.astype(np.float32)[:, None]
