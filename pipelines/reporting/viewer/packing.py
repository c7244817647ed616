"""Arrays as text for a page: whole numbers of one or two bytes in base64, which `viewer.js` unpacks."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.light import GAMMA

_LARGEST_SHORT = 2**16 - 1
_LARGEST_BYTE = 2**8 - 1

Json = dict[str, Any]


def packed_points(points: NDArray[np.floating]) -> Json:
    """Points (N, 3) on a grid of 65536 steps along each axis of their box; a face's is finer than 0.01 mm."""
    low, high = points.min(axis=0), points.max(axis=0)
    step = np.maximum(high - low, 1.0e-6) / _LARGEST_SHORT
    return {
        "data": _text(np.round((points - low) / step).astype("<u2")),
        "low": [float(f"{value:.9g}") for value in low],
        "step": [float(f"{value:.9g}") for value in step],
    }


def packed_triangles(triangles: NDArray[np.integer]) -> Json:
    """Corners of triangles, in two bytes each where that is enough."""
    bits = 16 if triangles.size == 0 or triangles.max() <= _LARGEST_SHORT else 32
    return {"data": _text(triangles.astype(f"<u{bits // 8}")), "bits": bits}


def packed_colours(linear: NDArray[np.floating]) -> Json:
    """Linear RGB (N, 3), a byte each, along a curve like that of pictures; negative values become 0, as in shading."""
    largest = float(f"{max(float(linear.max()), 1.0e-6):.9g}")
    shares = np.clip(linear / largest, 0, 1) ** (1 / GAMMA)
    return {"data": _text(np.round(shares * _LARGEST_BYTE).astype(np.uint8)), "largest": largest}


def packed_choices(choices: NDArray[np.integer], palette: NDArray[np.floating]) -> Json:
    """One colour of a palette (at most 256, linear RGB) for each vertex."""
    if len(palette) > _LARGEST_BYTE + 1:
        raise ValueError(
            f"expected at most {_LARGEST_BYTE + 1} colours, got {len(palette)}: they are numbered by a byte"
        )
    return {"data": _text(choices.astype(np.uint8)), "palette": packed_colours(palette)}


def packed_numbers(numbers: NDArray[np.floating]) -> Json:
    """One number for each vertex, as it is."""
    return {"data": _text(numbers.astype("<f4"))}


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
