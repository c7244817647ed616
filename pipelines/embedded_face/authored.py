"""The authored numbers of the mean face: points and curves of the left half in mm, typed from published anthropometry.

Frame: x to the person's left, y up, z to the viewer; y = 0 is the pupil line, z = 0 the subnasale, x = 0 the midline.

Distances follow published adult means (both sexes averaged): n-sn 51, sn-gn 68, n-gn 116, en-en 33, ex-ex 89, al-al 34,
ch-ch 51, zy-zy 134, go-go about 104, tr-n 67, head length 190. Depths follow soft-tissue norms relative
to a vertical through the subnasale: glabella -8, nasal tip +16, upper lip +3.5, lower lip +1.5, B' -6, Pog' -3,
orbital rim -20, cheekbone -23. The forehead is an ellipsoid of that head length behind a midline that leans back by 10
to 15 degrees over its lower two thirds, as the published forehead inclination does. The sides are few smooth numbers
(`SIDE_HALF_WIDTHS`); the lower jaw is an arch between the chin and the gonion (see `jaw_rows`). The tip and the wings
of the nose are ellipsoids that merge with the skin (`NOSE_LOBULES`): the tip about 16 mm wide, the wings 34 mm apart.
"""

import numpy as np
from scipy.interpolate import PchipInterpolator

Row = tuple[tuple[float, float], ...]

# The eyeball of the left eye: globe radius 12 with its lids, half a pupillary distance of 62 from the midline.
EYE_CENTRE = np.array([31.0, 0.0, -30.0])
EYEBALL_RADIUS = 11.6
LID_RADIUS = 12.5  # outer surface of the closed part of the lids
MOUTH_HALF_WIDTH = 25.6

# fmt: off
# Midline profile, (y, z), from the scalp down to the neck.
MIDLINE: Row = (
    (84, -27.5), (72, -19.6), (60, -14.6), (48, -11.2), (36, -8.8), (28, -7.5), (22, -7.0), (17, -7.6), (12, -9.4),
    (8, -10.9), (5, -11.4), (1, -10.6), (-5, -7.6), (-12, -3.0), (-19, 2.0), (-26, 7.8), (-31, 12.2), (-34, 14.4),
    (-37, 15.2), (-39.6, 13.6), (-41.4, 10.8), (-42.8, 7.0), (-43.8, 3.4), (-44.6, 0.8), (-46.2, -0.5), (-49.5, -0.4),
    (-53, 0.1), (-56, 0.8), (-57.6, 1.6), (-58.8, 2.8), (-60.4, 3.8), (-62.6, 4.0), (-64.7, 2.8), (-66.0, 0.8),
    (-66.6, -0.6), (-67.2, 0.2), (-68.8, 1.6), (-71, 2.4), (-73.2, 2.1), (-75, 1.0), (-76.4, -0.2), (-78.8, -2.7),
    (-81.8, -4.8),
    (-85.4, -5.8), (-88.6, -5.3), (-92, -3.9), (-96.5, -3.0), (-100.5, -3.5), (-104, -5.4), (-107, -8.6),
    (-109.2, -12.6), (-110.7, -17.5), (-112, -24), (-113, -32), (-113.8, -41), (-114.4, -52),
)

# Horizontal rows between the brows and the mouth, without the alae and the lobule of the nose: y -> (x, z) off the
# midline.
FACE_ROWS: dict[float, Row] = {
    28: ((10, -8.4), (20, -10.0), (32, -14.6), (42, -22.8)),
    20: ((7, -7.4), (14, -8.7), (22, -10.6), (32, -14.2), (41, -20.8)),
    14.5: ((6, -9.4), (11, -11.5), (17, -13.6), (24, -14.7), (32, -16.1), (40, -20.4)),
    9: ((5, -11.8), (9, -14.6), (13, -16.8), (19, -17.5), (25, -17.7), (32, -18.2), (40, -21.6)),
    3: ((4.5, -12.8), (8, -16.4), (11.5, -19.8), (15, -20.8), (20, -20.6), (26, -19.9), (33, -20.0), (39, -22.4)),
    -2: ((4, -11.0), (7, -14.4), (10.5, -19.0), (13.5, -21.2), (16.4, -21.6), (21, -20.8), (26, -20.2), (33, -20.2),
         (39, -22.6)),
    -8: ((3.5, -7.4), (6, -9.8), (9, -14.6), (12, -18.8), (15, -20.6), (20, -20.7), (26, -20.2), (32, -20.2),
         (39, -22.2)),
    -15: ((3.5, -2.6), (6, -5.2), (9, -10.2), (12, -15.2), (15.5, -18.4), (20, -19.6), (26, -19.4), (32, -19.2),
          (39, -20.8)),
    -21: ((3.5, 1.8), (6, -0.8), (9, -5.8), (12, -11.4), (15.5, -15.6), (20, -17.4), (26, -17.4), (32, -17.4),
          (40, -19.4)),
    -27: ((3.5, 7.3), (6.5, 4.3), (9.3, -1.2), (12, -7.4), (15.2, -12.8), (19.5, -15.6), (25, -16.2), (32, -16.5),
          (40, -19.1)),
    -32: ((4, 11.6), (7, 8.8), (9.6, 3.8), (12, -3.0), (14.6, -9.6), (17.8, -13.9), (21.5, -15.5), (26, -15.6),
          (33, -16.5), (41, -20.2)),
    -36.5: ((4, 13.2), (7, 11.2), (9.6, 7.6), (11.8, 2.4), (13.8, -4.6), (15.9, -11.0), (19, -14.6), (22, -15.2),
            (26, -15.0), (33, -16.4), (41, -20.8)),
    -40: ((3.5, 12.2), (6.5, 10.2), (9.2, 6.8), (11.6, 1.8), (13.8, -5.2), (15.9, -11.4), (19, -14.6), (22, -15.0),
          (26, -14.6)),
    -42.6: ((3, 6.6), (6, 5.0), (9, 2.0), (11.5, -2.4), (14, -8.4), (17, -12.8), (20, -14.4)),
    -45: ((3, -0.4), (6, -1.4), (9, -3.6), (12, -7.2), (15, -11.0), (18, -13.4), (21, -14.2), (26, -13.9),
          (33, -15.9), (41, -21.4)),
    -50: ((4, -0.7), (8, -2.0), (12, -4.8), (16, -8.6), (20, -11.8), (25, -13.2), (32, -15.4), (41, -22.0)),
    -55: ((4, 0.6), (8, -0.4), (12, -2.6), (16, -5.8), (20, -9.2), (25, -12.2), (32, -15.0), (41, -22.8)),
}
# Rows that start beside the lips, whose own shape is in LIP_PROFILES.
CHEEK_ROWS: dict[float, Row] = {
    -61: ((32, -15.8), (40, -23.8)),
    -67.2: ((29.5, -13.6), (34, -17.6), (40, -25.2)),
    -75: ((27, -13.7), (33, -18.8), (39, -27.4)),
    -79.5: ((6, -5.0), (12, -6.8), (18, -9.6), (24, -13.2)),
}
# The sides of the face, where widths change slowly: half widths at the depths SIDE_DEPTHS, from the temple down to
# the angle of the jaw.
SIDE_DEPTHS = (-34.5, -48.0, -62.0, -76.0, -90.0)
SIDE_HALF_WIDTHS: dict[float, tuple[float, ...]] = {
    28: (49.5, 55.5, 60.0, 63.4, 65.2),
    10: (50.8, 56.4, 61.0, 64.6, 66.4),
    -8: (52.0, 57.9, 62.4, 65.8, 67.4),
    -25: (52.6, 58.3, 62.3, 65.4, 66.8),
    -42: (50.0, 55.9, 60.0, 62.8, 64.0),
    -58: (46.8, 52.3, 56.3, 58.6, 59.2),
    -72: (42.8, 47.8, 51.4, 53.2, 53.4),
}

# Vertical profiles over the lips: x -> (y, z) from above to below.
LIP_PROFILES: dict[float, Row] = {
    5.4: ((-53.4, 0.2), (-55.7, 1.1), (-57.0, 2.4), (-59.2, 3.4), (-61.8, 3.5), (-64.0, 2.3), (-65.2, 0.6),
          (-65.9, -0.9), (-66.6, -0.2), (-68.4, 1.2), (-70.8, 2.0), (-73, 1.6), (-75, 0.3), (-76.4, -1.0)),
    11: ((-55.8, -0.8), (-57.7, 0.0), (-58.9, 1.0), (-60.8, 1.8), (-63, 1.4), (-64.8, 0.0), (-66.2, -2.3), (-67, -1.6),
         (-68.8, -0.4), (-70.8, 0.0), (-72.8, -0.6), (-74.6, -2.0), (-76.4, -3.8)),
    17: ((-58.4, -4.4), (-60.3, -3.5), (-61.6, -2.5), (-63.4, -2.2), (-65.2, -3.2), (-66.6, -5.2), (-67.6, -4.6),
         (-69.2, -4.0), (-70.8, -4.4), (-72.2, -5.5), (-74.2, -7.2)),
    22: ((-64.6, -7.0), (-66, -7.5), (-67, -9.0), (-67.9, -8.4), (-69.2, -8.1), (-70.8, -9.1)),
    25.6: ((-67.2, -12.0),),
}

# Feature curves of the left half in the (x, y) plane, from the midline or the inner corner outwards.
UPPER_LIP_BORDER: Row = (
    (0, -58.8), (2.6, -58.2), (5.4, -57.0), (8.2, -57.6), (11, -58.9), (14, -60.2), (17, -61.6), (19.6, -63.1),
    (22, -64.6), (24, -65.9), (25.6, -67.2),
)
LIP_LINE: Row = (
    (0, -66.6), (2.6, -66.3), (5.4, -65.9), (8.2, -66.0), (11, -66.2), (14, -66.4), (17, -66.6), (19.6, -66.8),
    (22, -67.0), (24, -67.1), (25.6, -67.2),
)
LOWER_LIP_BORDER: Row = (
    (0, -76.2), (2.6, -76.2), (5.4, -76.0), (8.2, -75.5), (11, -74.6), (14, -73.5), (17, -72.0), (19.6, -70.7),
    (22, -69.4), (24, -68.2), (25.6, -67.2),
)
UPPER_LID: Row = (
    (16.4, -2.0), (18.2, -0.4), (20.6, 1.7), (23.4, 3.6), (26.6, 4.8), (30, 5.2), (33.5, 5.0), (37, 4.0), (40, 2.7),
    (42.6, 1.5), (44.8, 0.7),
)
LOWER_LID: Row = (
    (16.4, -2.0), (18.8, -2.8), (21.5, -3.7), (24.6, -4.6), (28, -5.2), (31.5, -5.4), (35, -5.0), (38.3, -3.9),
    (41, -2.4), (43.2, -0.7), (44.8, 0.7),
)
# Where the surface ends, (x, y, z): hairline, in front of the ear, jaw, under the chin.
BOUNDARY: tuple[tuple[float, float, float], ...] = (
    (0, 72, -19.6), (16, 71.8, -22), (31, 70, -29), (43, 66, -40), (52, 59.5, -52), (58.5, 49.5, -63), (62.5, 37, -72),
    (65, 21, -79), (66.6, 3, -84), (67, -15, -87), (65.6, -33, -88), (62.6, -49, -87), (58.8, -63, -84),
    (54.4, -75.5, -78.5), (48.6, -86, -70.5), (41, -95, -60), (32, -102.5, -50.5), (22, -108.5, -43), (11, -112, -37),
    (0, -113.2, -34.5),
)
# Behind the lower border of the jaw, from the chin to its angle.
_BEHIND_JAW = (
    (10.0, -112.6, -34.0), (10.0, -113.6, -46.0), (21.0, -108.6, -42.0), (21.0, -109.8, -52.0), (31.5, -101.6, -51.0),
    (40.0, -94.2, -61.5), (46.6, -86.0, -72.0), (51.0, -77.5, -79.5), (49.8, -80.0, -88.0), (43.5, -90.5, -80.0),
)
# Lobules of the nose as ellipsoids of the left half: centre, long axis, half lengths along it, upwards and sideways.
NOSE_LOBULES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]] = {
    "tip": ((1.6, -36.8, 8.0), (0.0, 0.0, 1.0), (8.0, 6.8, 7.4)),
    "ala": ((12.2, -39.2, -4.2), (-0.36, 0.04, 0.93), (10.0, 6.0, 4.4)),
}
# The edge of the left nostril from its front over the side of the columella and the sill to the rim of the ala.
NOSTRIL_RIM: tuple[tuple[float, float, float], ...] = (
    (5.6, -42.3, 6.4), (4.4, -42.9, 4.6), (4.4, -43.7, 2.2), (6.0, -44.8, -1.4), (8.4, -45.4, -3.6),
    (10.6, -45.2, -3.2), (11.4, -44.4, -0.4), (10.2, -43.4, 3.0), (8.0, -42.5, 5.6),
)
# The fold of the upper lid, (x, y).
LID_CREASE: Row = (
    (17.8, 3.6), (20.5, 6.4), (24, 8.6), (28, 9.9), (32, 10.2), (36, 9.6), (40, 8.0), (43.5, 5.8), (46.5, 3.4),
)
# The eyebrow from its head to its tail, (x, y).
BROW: Row = ((11.5, 14.6), (16, 16.6), (22, 18.4), (29, 20.2), (36, 20.9), (42, 19.4), (48, 15.8))
# fmt: on

_HEAD_CENTRE = (
    30.0,
    -103.0,
)  # (y, z) of the ellipsoid of the cranium: head length 190; forehead breadth between the temples 137 at its widest
_HEAD_RADII = (68.5, 100.0, 95.0)


def midline_depth(y: float) -> float:
    """z of the midline profile at height `y`."""
    heights, depths = np.array(MIDLINE[::-1], float).T
    return float(PchipInterpolator(heights, depths)(y))


def forehead_rows() -> dict[float, Row]:
    """Rows above the brows: the cranial ellipsoid, blended at the side into the flatter temple."""
    return {y: _forehead_row(y) for y in (40.0, 55.0, 72.0, 84.0)}


def side_points() -> list[tuple[float, float, float]]:
    """Points (x, y, z) of the sides of the face and of the skin behind the lower border of the jaw."""
    sides = [(x, y, z) for y, widths in SIDE_HALF_WIDTHS.items() for x, z in zip(widths, SIDE_DEPTHS, strict=True)]
    return sides + list(_BEHIND_JAW)


def jaw_rows() -> dict[float, Row]:
    """Rows below the lower lip: power-law arches from the midline profile to the lower border of the jaw.

    The border rises from the chin (gn) to the gonion, 51 mm beside the midline; the arches turn from pointed at the
    chin to square at the gonion.
    """
    # y: (half width, depth at the border, exponent)
    arches = {
        -85.0: (47.5, -63.5, 3.4),
        -92.0: (41.5, -53.0, 2.9),
        -98.5: (34.0, -42.0, 2.4),
        -104.5: (25.0, -31.0, 2.2),
        -108.6: (15.0, -22.0, 2.0),
    }
    return {y: _jaw_row(y, *arch) for y, arch in arches.items()}


def _forehead_row(y: float) -> Row:
    centre_y, centre_z = _HEAD_CENTRE
    at_height = np.sqrt(1 - ((y - centre_y) / _HEAD_RADII[1]) ** 2)
    half_width = _HEAD_RADII[0] * at_height
    fractions = np.array([0.17, 0.34, 0.52, 0.68, 0.81, 0.9, 0.96])
    bulge = centre_z + _HEAD_RADII[2] * at_height * np.sqrt(1 - fractions**2)
    depths = bulge - bulge[0] + midline_depth(y) - 0.5
    temple = -12.0 * fractions**6  # the temporal fossa lies behind the ellipsoid
    return tuple(zip((half_width * fractions).tolist(), (depths + temple).tolist(), strict=True))


def _jaw_row(y: float, half_width: float, depth: float, exponent: float) -> Row:
    front = midline_depth(y)
    fractions = np.array([0.14, 0.28, 0.42, 0.56, 0.7, 0.83, 0.92, 1.0])
    depths = front + (depth - front) * fractions**exponent
    return tuple(zip((half_width * fractions).tolist(), depths.tolist(), strict=True))
