"""The 68 iBUG landmarks: names of their groups, mirror pairs, and the five points that alignment uses."""

import torch
from jaxtyping import Float
from torch import Tensor

# 0-based; left and right belong to the person, so the right eye is on the left of the picture.
LANDMARKS: dict[str, range] = {
    "jaw": range(0, 17),
    "right_eyebrow": range(17, 22),
    "left_eyebrow": range(22, 27),
    "nose_bridge": range(27, 31),
    "nose_base": range(31, 36),
    "right_eye": range(36, 42),
    "left_eye": range(42, 48),
    "outer_mouth": range(48, 60),
    "inner_mouth": range(60, 68),
}
LANDMARK_COUNT = 68

# The same landmark on a mirrored picture: MIRRORED[i] is the index that point i takes.
# fmt: off
MIRRORED: tuple[int, ...] = (
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
    26, 25, 24, 23, 22, 21, 20, 19, 18, 17,
    27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
    64, 63, 62, 61, 60, 67, 66, 65,
)
# fmt: on

NOSE_TIP = 30
MOUTH_CORNERS = (48, 54)

# Right eye, left eye, nose tip, right and left mouth corner (MTCNN's order), as fractions of the crop's
# width and height: the frontal face of Deep3DFaceRecon's template (microsoft/Deep3DFaceReconstruction).
FIVE_POINT_TEMPLATE: tuple[tuple[float, float], ...] = (
    (0.3581, 0.3678),
    (0.6411, 0.3681),
    (0.5015, 0.5210),
    (0.3852, 0.6736),
    (0.6132, 0.6736),
)


def five_points(landmarks: Float[Tensor, "*B 68 2"]) -> Float[Tensor, "*B 5 2"]:
    """Eye centres, nose tip and mouth corners, in MTCNN's order, from the 68 landmarks; same units as the input."""
    eyes = [landmarks[..., list(LANDMARKS[name]), :].mean(dim=-2) for name in ("right_eye", "left_eye")]
    others = [landmarks[..., index, :] for index in (NOSE_TIP, *MOUTH_CORNERS)]
    return torch.stack([*eyes, *others], dim=-2)
