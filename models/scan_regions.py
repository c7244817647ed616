"""Regions of a scan by its 68 landmarks: each point belongs to the nearest of some anchors."""

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from models.landmarks import LANDMARKS
from models.surface import Points

REGIONS = ("nose", "mouth", "forehead", "cheek", "rest")

_FOREHEAD_HEIGHT = 0.45  # of the anchors above the brows, in lengths of the nose
# Each between a landmark of the jaw and one of the face: the right cheek, then the left one.
_CHEEK_BETWEEN = ((1, 31), (2, 31), (3, 48), (4, 48), (15, 35), (14, 35), (13, 54), (12, 54))


def scan_regions(points: Points, landmarks: Float[np.ndarray, "68 3"]) -> Int[np.ndarray, "N"]:
    """The number in `REGIONS` of each point of a scan; eyes, brows, chin and jaw line are the rest."""
    brows = [*LANDMARKS["right_eyebrow"], *LANDMARKS["left_eyebrow"]]
    eyes = [*LANDMARKS["right_eye"], *LANDMARKS["left_eye"]]
    nose_top, nose_bottom = landmarks[LANDMARKS["nose_bridge"][0]], landmarks[LANDMARKS["nose_base"]].mean(axis=0)
    anchors = {
        "nose": landmarks[[*LANDMARKS["nose_bridge"], *LANDMARKS["nose_base"]]],
        "mouth": landmarks[[*LANDMARKS["outer_mouth"], *LANDMARKS["inner_mouth"]]],
        "forehead": landmarks[brows] + _FOREHEAD_HEIGHT * (nose_top - nose_bottom),
        "cheek": np.array([(landmarks[a] + landmarks[b]) / 2 for a, b in _CHEEK_BETWEEN]),
        "rest": landmarks[[*brows, *eyes, *LANDMARKS["jaw"]]],
    }
    region_of_anchor = np.repeat(np.arange(len(REGIONS)), [len(anchors[name]) for name in REGIONS])
    nearest = cKDTree(np.concatenate([anchors[name] for name in REGIONS])).query(points)[1]
    return region_of_anchor[nearest]
