"""Identity modes: anthropometric fields with names, and smooth random fields beneath them.

Amplitudes are one standard deviation in mm. `calibration` scales them so that distances between points of random faces
have the standard deviations that are published for adults; which mode has which variance beyond that is a design
choice, not a measurement.
"""

import numpy as np
from numpy.typing import NDArray

from pipelines.embedded_face.authored import EYE_CENTRE
from pipelines.embedded_face.calibration import calibrated_gains, distance_effects
from pipelines.embedded_face.fields import FieldAuthor
from pipelines.embedded_face.geometry import Indices, Points, bell, folded, smoothstep
from pipelines.embedded_face.modes import Fields, principal_modes
from pipelines.embedded_face.regions import SoftRegions
from pipelines.embedded_face.smooth_fields import Scale, displacement_fields, scalar_basis
from pipelines.embedded_face.template import Part, Template

_COARSE_SCALES = [Scale(90.0, 1.3), Scale(45.0, 0.9)]
_FINE_SCALES = [Scale(20.0, 0.38), Scale(10.0, 0.16)]
_NAMED_GAIN, _SMOOTH_GAIN = 0.77, 0.62  # where the calibration starts
_LID_RADIUS_MM = 12.5  # lids slide along a ball
_EYEBALL_FOLLOWS = 0.75  # of the mean displacement of its lids; the rest is the field's own value there


def identity_modes(template: Template, regions: SoftRegions, landmarks: Indices, count: int) -> Fields:
    """`count` orthogonal identity modes (count, V, 3) in mm, each one standard deviation long."""
    named = np.stack(list(semantic_fields(template, regions).values())).astype(np.float32)
    smooth = _smooth_fields(template)
    fields = np.concatenate([named, *smooth])
    # each named field has a gain of its own, the coarse and the fine ones share one each
    group = np.repeat(np.arange(len(named) + 2), [1] * len(named) + [len(part) for part in smooth])
    authored = np.array([_NAMED_GAIN] * len(named) + [_SMOOTH_GAIN] * 2)
    gains = calibrated_gains(distance_effects(fields, template, landmarks), group, authored)
    fields *= gains[group].astype(np.float32)[:, None, None]
    return principal_modes(_with_eyeballs(fields, template), count)


def semantic_fields(template: Template, regions: SoftRegions) -> dict[str, Points]:
    """The named fields."""
    author = FieldAuthor(template.vertices)
    _head_fields(author)
    _nose_fields(author)
    _eye_and_brow_fields(author)
    _cheek_and_jaw_fields(author)
    _mouth_fields(author, regions)
    return author.fields


def _head_fields(author: FieldAuthor) -> None:
    x, y, z = author.points.T
    author.add("width", outward=x / 67 * 2.9)
    author.add("height", up=(y + 25) / 60 * 2.9)
    author.add("depth", forward=(z + 60) / 60 * 2.6)
    author.add("size", outward=x * 0.028, up=(y + 25) * 0.028, forward=(z + 60) * 0.028)
    author.add("forehead_slope", forward=smoothstep(y, 25, 75) * 3.2)
    author.add("forehead_width", outward=smoothstep(y, 15, 60) * x / 60 * 2.4)
    author.add("face_sides", outward=smoothstep(x, 36, 68) * smoothstep(-y, -70, 5) * 2.4)
    author.add("temples", outward=-author.bell((58, 22, -55), (18, 26, 30)) * 2.0)
    author.add("midface_height", up=-smoothstep(-y, 5, 45) * 2.2)


def _nose_fields(author: FieldAuthor) -> None:
    x, bell_at = author.points[:, 0], author.bell
    tip = bell_at((0, -38, 12), (11, 9, 14))
    author.add("nose_width", outward=bell_at((0, -36, 2), (20, 17, 24)) * x / 17 * 3.6 * (x < 40))
    author.add("nostril_distance", outward=bell_at((0, -46, -4), (14, 8, 12)) * x / 9 * 1.1 * (x < 40))
    author.add("bridge_width", outward=bell_at((0, -8, -10), (16, 20, 16)) * x / 12 * 1.2)
    author.add("bridge_height", forward=bell_at((0, -6, -8), (13, 19, 26)) * 2.0)
    author.add("nose_hump", forward=bell_at((0, -18, 2), (7, 9, 22)))
    author.add("nose_length", up=-bell_at((0, -38, 10), (19, 20, 30)) * 2.4)
    author.add("tip_projection", forward=bell_at((0, -37, 16), (17, 18, 20)) * 3.4)
    author.add("tip_height", up=bell_at((0, -38, 15), (11, 10, 14)) * 1.4)
    author.add("tip_width", outward=tip * x / 8 * 0.9)
    author.add_sideways("nose_to_the_side", bell_at((0, -30, 5), (16, 24, 28)) * 0.9)


def _eye_and_brow_fields(author: FieldAuthor) -> None:
    x, y, _ = author.points.T
    bell_at = author.bell
    along = np.clip((x - 31.5) / 14, -1.4, 1.4) * bell_at((31.5, 0, -22), (22, 16, 26))
    opening = np.clip(y / 5.2, -1.3, 1.3) * bell_at((31.5, 0, -20), (14, 8.5, 16))
    author.add("eye_distance", outward=bell_at((31, 0, -22), (24, 20, 26)) * 1.7)
    author.add("eye_depth", forward=bell_at((31, 0, -22), (21, 15, 20)) * 1.6)
    author.add("eye_width", outward=along * 1.5)
    author.add("canthal_tilt", up=along * 1.5)
    author.add("eye_opening", up=opening, forward=-opening * y / _LID_RADIUS_MM)
    author.add(
        "lid_fold",
        up=-bell_at((33, 10, -19), (14, 5, 14)) * 0.8,
        forward=bell_at((33, 9.5, -19), (14, 5, 14)),
    )
    author.add("brow_ridge", forward=bell_at((22, 20, -11), (22, 9, 22)) * 1.5)
    author.add("brow_height", up=bell_at((28, 20, -14), (24, 10, 26)) * 2.0)


def _cheek_and_jaw_fields(author: FieldAuthor) -> None:
    x, y, _ = author.points.T
    bell_at = author.bell
    jaw = smoothstep(-y, 30, 95)
    author.add(
        "cheek_bone",
        outward=bell_at((52, -20, -35), (20, 16, 26)) * 1.8,
        forward=bell_at((46, -20, -27), (18, 15, 24)) * 2.0,
    )
    author.add(
        "cheek_fat",
        outward=bell_at((50, -60, -45), (20, 26, 30)) * 3.2,
        forward=bell_at((38, -55, -22), (20, 24, 26)) * 2.0,
    )
    author.add("jaw_width", outward=jaw * x / 52 * 2.9)
    author.add("jaw_angle", up=-smoothstep(x, 25, 60) * jaw * 3.5)
    author.add("lower_face_height", up=-smoothstep(-y, 45, 110) * 3.4)
    author.add("chin_projection", forward=bell_at((0, -98, -8), (26, 18, 26)) * 3.0)
    author.add("chin_height", up=-bell_at((0, -108, -12), (34, 16, 32)) * 2.4)
    author.add("chin_groove", forward=-bell_at((0, -84, -6), (20, 6, 16)) * 1.2)
    author.add_sideways("jaw_to_the_side", jaw * 0.8)


def _mouth_fields(author: FieldAuthor, regions: SoftRegions) -> None:
    x, y, z = author.points.T
    bell_at = author.bell
    upper = regions.lips * smoothstep(y, -69, -64.5)
    lower = regions.lips * smoothstep(-y, 64.5, 69)
    author.add("mouth_width", outward=bell_at((0, -67, -5), (32, 15, 24)) * x / 26 * 3.2 * (x < 60))
    author.add("mouth_height", up=bell_at((0, -67, -3), (34, 15, 28)) * 1.9)
    lip_skin = np.clip(1 - (x / 27) ** 2, 0, 1) * smoothstep(z, -16, -8)  # without the inside of the mouth
    upper_border = lip_skin * smoothstep(y, -66, -58.5) * smoothstep(-y, 47, 57)
    lower_border = lip_skin * smoothstep(-y, 67, 76) * smoothstep(y, -87, -76)
    author.add("upper_lip", up=upper_border * 1.7, forward=upper * 0.8)
    author.add("lower_lip", up=-lower_border * 2.2, forward=lower * 0.8)
    author.add("chin_groove_height", up=bell_at((0, -89, -6), (22, 8, 16)) * 2.6)
    author.add("philtrum_width", outward=bell_at((0, -56, 2), (13, 9, 12)) * x / 6 * 0.9)
    author.add("lip_projection", forward=bell_at((0, -67, 0), (27, 14, 22)) * 2.0)
    author.add("philtrum_length", up=-bell_at((0, -60.5, 0), (24, 9.5, 22)) * 1.8)
    author.add_sideways("mouth_to_the_side", bell_at((0, -68, -5), (30, 16, 26)) * 0.7)


def _smooth_fields(template: Template) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Random fields at two coarse and two fine scales; the fine ones are damped where they would tear: eyes, mouth."""
    points = folded(template.vertices)
    eye = bell(points, EYE_CENTRE + np.array([0, 0, 10]), (18, 12, 20))
    mouth = bell(points, (0, -67, -3), (28, 9, 14))
    damping = ((1 - 0.75 * eye) * (1 - 0.5 * mouth)).astype(np.float32)[:, None]
    coarse = scalar_basis(template.vertices, _COARSE_SCALES, count=110, landmarks=450)
    fine = scalar_basis(template.vertices, _FINE_SCALES, count=170, landmarks=700)
    return displacement_fields(coarse, symmetry=0.95), displacement_fields(fine, symmetry=0.9) * damping


def _with_eyeballs(fields: Fields, template: Template) -> Fields:
    """The fields with eyeballs that mostly move as one piece with their lids, so that they stay round."""
    result = fields.copy()
    loop = template.curves.lid_loop
    for lids, sign in ((loop, 1), (template.mirror[loop], -1)):
        eyeball = template.is_part(Part.EYEBALL) & (template.vertices[:, 0] * sign > 0)
        mean = fields[:, lids].mean(axis=1, keepdims=True)
        result[:, eyeball] = (1 - _EYEBALL_FOLLOWS) * fields[:, eyeball] + _EYEBALL_FOLLOWS * mean
    return result
