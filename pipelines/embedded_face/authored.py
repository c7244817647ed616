"""The authored numbers of the mean face: points and curves of the left half in mm, typed from published anthropometry.

Frame: x to the person's left, y up, z to the viewer; y = 0 is the pupil line, z = 0 the subnasale, x = 0 the midline.

Distances follow published adult means (both sexes averaged): n-sn 51, sn-gn 68, n-gn 116, en-en 33, ex-ex 89, al-al 34,
ch-ch 51, zy-zy 134, go-go about 104, tr-n 67, head length 190. Depths follow soft-tissue norms relative
to a vertical through the subnasale: glabella -8, nasal tip +16, upper lip +3.5, lower lip +1.5, B' -6, Pog' -3,
orbital rim -20, cheekbone -23. The forehead is an ellipsoid of that head length; it recedes by 10
degrees between glabella and trichion, as the published forehead inclination does. The lower jaw is an arch between the
chin and the gonion (see `jaw_rows`).
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
    (84, -23.0), (72, -16.8), (60, -12.6), (48, -9.8), (36, -8.2), (27, -7.6), (20, -7.8), (14, -9.0), (8, -11.0),
    (3, -11.2), (-3, -9.2), (-10, -4.6), (-17, 0.6), (-24, 5.8), (-29, 10.0), (-32, 12.5), (-34.3, 14.3), (-36.6, 15.5),
    (-38.8, 15.6), (-40.8, 14.3), (-42.3, 11.6), (-43.5, 8.0), (-44.6, 4.2), (-45.6, 1.2), (-47.2, -0.4), (-50, -0.7),
    (-54, 0.3), (-57, 1.8), (-58.8, 3.0), (-61.5, 4.2), (-64, 3.7), (-65.8, 1.6), (-66.7, -1.8), (-67.5, -0.6),
    (-69, 1.2), (-71.5, 2.1), (-74, 1.0), (-76, -1.2), (-79, -4.4), (-83, -6.4), (-87, -6.0), (-92, -3.9), (-97, -3.0),
    (-102, -3.6), (-106.5, -6.0), (-110.5, -10.2), (-113.3, -16), (-115, -26), (-116, -38), (-116.5, -52),
)

# Horizontal rows between the brows and the mouth: y -> (x, z) off the midline.
FACE_ROWS: dict[float, Row] = {
    28: ((10, -8.4), (20, -9.8), (32, -14.8), (42, -23.2), (49, -34.2), (55.6, -53), (62.8, -72), (66.9, -92)),
    20: ((7, -8.2), (14, -9.0), (22, -10.4), (32, -14.2), (41, -20.4), (48, -29.5), (53, -42), (59, -59), (64, -75),
         (67, -92)),
    14.5: ((6, -9.6), (11, -11.2), (17, -12.8), (24, -14.0), (32, -16.0), (40, -20.4), (47, -27.6), (52, -37.5),
           (58, -54), (64, -73), (67, -92)),
    9: ((5, -12.0), (9, -15.6), (13, -18.4), (19, -19.0), (25, -18.8), (32, -19.2), (40, -22.0), (46.5, -27.8),
        (51, -35.5), (57, -51), (63.5, -71), (67, -92)),
    3: ((4.5, -12.6), (8, -17.0), (11.5, -20.8), (15, -21.6), (20, -20.8), (26, -19.9), (33, -20.0), (39, -22.4),
        (44, -26.2), (50, -33.2), (56, -48), (63, -68), (67.5, -92)),
    -2: ((4, -10.8), (7, -14.4), (10.5, -19.2), (13.5, -21.4), (16.4, -21.6), (21, -20.8), (26, -20.2), (33, -20.2),
         (39, -22.6), (44, -26.4), (50, -32.8), (56, -46.5), (63, -67), (67.8, -92)),
    -8: ((3.5, -7.2), (6, -9.8), (9, -15.0), (12, -19.2), (15, -21.0), (20, -20.9), (26, -20.2), (32, -20.2),
         (39, -22.2), (45, -26.8), (51, -34.2), (57, -46.5), (63.5, -66), (68, -92)),
    -15: ((3.5, -2.2), (6, -5.0), (9, -10.4), (12, -15.6), (15.5, -18.6), (20, -19.8), (26, -19.8), (32, -19.8),
          (39, -21.8), (46, -26.4), (52.5, -35), (58.5, -47), (64.5, -67), (68.3, -92)),
    -21: ((3.5, 2.4), (6, -0.2), (9, -5.6), (12, -11.6), (15.5, -15.8), (20, -17.6), (26, -17.6), (32, -17.6),
          (40, -20.2), (47, -25.8), (54, -35.6), (60, -49), (65, -67.5), (68.3, -92)),
    -27: ((3.5, 7.6), (6.5, 4.6), (9.5, -1.4), (12.5, -8.2), (15.5, -13.2), (19.5, -15.8), (25, -16.2), (32, -16.5),
          (40, -19.6), (48, -26.2), (55, -37), (61, -51), (65.5, -69), (68.3, -92)),
    -32: ((4.4, 11.0), (7.4, 7.8), (10.2, 2.4), (12.8, -4.0), (15.2, -10.2), (17.6, -13.8), (21, -15.4), (26, -15.4),
          (33, -16.4), (41, -20.0), (49, -27.4), (56, -39), (61.5, -53), (65.6, -71), (68, -92)),
    -36.5: ((4, 14.5), (7, 12.3), (10, 8.6), (12.8, 4.0), (15.2, -1.0), (17, -7.0), (18.2, -13.2), (21, -15.0),
            (26, -14.8), (33, -16.2), (42, -20.8), (50, -29.2), (57, -42), (62, -56), (65.6, -73), (67.5, -92)),
    -40: ((4, 13.6), (7, 11.4), (10, 7.8), (12.6, 4.0), (15.1, -0.8), (17, -6.6), (18.0, -12.4), (20.5, -15.0),
          (25, -14.4)),
    -42.6: ((3, 10.2), (6, 7.8), (9.5, 5.0), (12.3, 1.6), (14.6, -3.4), (16.4, -8.8), (17.4, -13.2)),
    -45: ((3, 1.2), (6, -1.6), (8.5, -3.6), (11, -5.6), (13.4, -8.6), (15.6, -12.2), (18, -14.0), (21, -14.6),
          (26, -13.8), (33, -15.6), (42, -20.8), (50.5, -30.6), (57, -44), (62, -59), (65, -76), (66.8, -92)),
    -50: ((4, -0.6), (8, -2.0), (12, -5.2), (16, -9.2), (20, -12.6), (25, -13.2), (32, -15.0), (41, -20.4), (50, -31.4),
          (57, -46.5), (61.5, -61), (64.5, -78), (66, -92)),
    -55: ((4, 0.7), (8, -0.1), (12, -2.6), (16, -6.0), (20, -9.6), (25, -12.2), (32, -14.6), (41, -20.6), (49.5, -31.8),
          (56.5, -48), (61, -63), (64, -80), (65, -92)),
}
# Rows that start beside the lips, whose own shape is in LIP_PROFILES.
CHEEK_ROWS: dict[float, Row] = {
    -61: ((32, -14.2), (40, -20.5), (48.4, -32.3), (54.9, -49.2), (59.2, -65), (62.3, -82)),
    -67.2: ((29.5, -12.0), (34, -14.6), (41, -21.8), (48, -34.2), (54.1, -51), (58.2, -67), (60.9, -84)),
    -75: ((27, -12.4), (33, -16.2), (40.5, -24.6), (47, -37.4), (52.6, -54), (56.2, -71), (58, -86)),
    -79: ((6, -4.8), (12, -6.6), (18, -9.4), (24, -12.6)),
}

# Vertical profiles over the lips: x -> (y, z) from above to below.
LIP_PROFILES: dict[float, Row] = {
    5.4: ((-55.2, 1.6), (-57.2, 2.8), (-60.6, 3.7), (-63.6, 2.9), (-65.0, 1.2), (-66.0, -1.9), (-67.2, -0.5),
          (-69, 1.0), (-71.5, 1.6), (-74, 0.6), (-76, -1.6)),
    11: ((-58.9, 1.1), (-61.6, 1.7), (-64.0, 0.8), (-65.4, -0.9), (-66.3, -3.2), (-67.4, -2.0), (-69.4, -0.7),
         (-71.6, -0.5), (-73.8, -1.6), (-75.8, -3.8)),
    17: ((-61.6, -2.6), (-63.4, -2.3), (-65.2, -3.4), (-66.6, -5.6), (-67.8, -4.8), (-69.4, -4.0), (-71.0, -4.4),
         (-73.0, -6.2)),
    22: ((-64.6, -7.0), (-66.0, -7.6), (-67.0, -8.8), (-67.9, -8.2), (-69.2, -8.0), (-70.8, -9.4)),
    25.6: ((-67.2, -11.2),),
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
    (0, -76), (2.6, -76.0), (5.4, -75.9), (8.2, -75.4), (11, -74.6), (14, -73.5), (17, -72.0), (19.6, -70.7),
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
    (0, 72, -16.8), (16, 71.5, -18.5), (32, 69, -25), (45, 64, -36), (55, 55, -50), (61.5, 44, -66), (64.5, 29, -75),
    (66.5, 10, -83), (67.6, -12, -86), (66.8, -36, -86), (64, -58, -84), (58.6, -76, -80), (52.2, -88, -75),
    (44.5, -97.5, -68), (35, -105.5, -62), (24, -112, -56), (12, -116, -51), (0, -117, -49.5),
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


def jaw_rows() -> dict[float, Row]:
    """Rows below the lower lip: power-law arches from the midline profile to the lower border of the jaw.

    The border rises from the chin (gn) to the gonion, 52 mm beside the midline, at a mandibular plane of 22 degrees;
    the arches turn from pointed at the chin to square at the gonion.
    """
    # y: (half width, depth at the border, exponent, how far the row goes on under the border)
    arches = {
        -84.0: (56.0, -82.0, 3.2, 1.0),
        -92.0: (49.0, -72.0, 2.8, 1.04),
        -99.0: (39.5, -54.0, 2.45, 1.1),
        -106.0: (26.0, -37.0, 2.3, 1.2),
        -111.5: (16.5, -29.0, 2.1, 1.35),
    }
    under_chin: dict[float, Row] = {-115.0: ((6, -28), (10.5, -37), (13.5, -48)), -116.0: ((6, -48),)}
    return {y: _jaw_row(y, *arch) for y, arch in arches.items()} | under_chin


def _forehead_row(y: float) -> Row:
    centre_y, centre_z = _HEAD_CENTRE
    at_height = np.sqrt(1 - ((y - centre_y) / _HEAD_RADII[1]) ** 2)
    half_width = _HEAD_RADII[0] * at_height
    fractions = np.array([0.17, 0.34, 0.52, 0.68, 0.81, 0.9, 0.96])
    bulge = centre_z + _HEAD_RADII[2] * at_height * np.sqrt(1 - fractions**2)
    depths = bulge - bulge[0] + midline_depth(y) - 0.5
    temple = -12.0 * fractions**6  # the temporal fossa lies behind the ellipsoid
    return tuple(zip((half_width * fractions).tolist(), (depths + temple).tolist(), strict=True))


def _jaw_row(y: float, half_width: float, depth: float, exponent: float, extent: float) -> Row:
    front = midline_depth(y)
    fractions = np.array([0.14, 0.28, 0.42, 0.56, 0.7, 0.83, 0.92, 1.0]) * extent
    depths = front + (depth - front) * fractions**exponent
    return tuple(zip((half_width * fractions).tolist(), depths.tolist(), strict=True))
