"""Skin colour from two pigments: light passes the melanin of the epidermis twice and is scattered back by the dermis.

The optical constants are the usual published fits (melanin and baseline absorption of the epidermis, haemoglobin,
reduced scattering of the dermis); spectra are weighted with daylight D65 and the CIE 1931 observer (multi-lobe fits).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Colours = NDArray[np.float64]  # (..., 3), linear RGB

_WAVELENGTHS_NM = np.arange(400, 701, 10.0)
_EPIDERMIS_CM = 0.006
_OXYGENATION = 0.75
_BASELINE_IN_DERMIS = 0.35  # share of the baseline absorption of skin
_MELANIN_RANGE, _BLOOD_RANGE = (0.006, 0.45), (0.0004, 0.05)  # volume fractions in the table
_TABLE_SHAPE = (48, 16)
# Fresnel reflection of the surface: without it dark skin would be pure orange.
_SURFACE_SHARE, _SURFACE_RGB = 0.04, np.array([0.026, 0.028, 0.029])

# fmt: off
# Molar extinction of haemoglobin with and without oxygen, (nm), (1/cm/M).
_OXYGENATED = (
    (400, 415, 430, 450, 470, 480, 500, 520, 530, 540, 550, 560, 570, 576, 580, 590, 600, 610, 620, 630, 650, 680, 700),
    (266232, 524280, 246072, 62816, 33209, 26629, 20932, 24202, 39957, 53236, 43016, 32613, 44496, 55540, 50104, 14400,
     3200, 1506, 942, 610, 368, 278, 290),
)
_DEOXYGENATED = (
    (400, 415, 430, 450, 470, 480, 500, 520, 530, 540, 550, 560, 570, 580, 590, 600, 610, 620, 630, 650, 680, 700),
    (223296, 401640, 528600, 103292, 16156, 14550, 20862, 31590, 39036, 46592, 53412, 53788, 45072, 37010, 28324, 14677,
     9443, 6510, 5149, 3750, 2408, 1794),
)
_DAYLIGHT = (
    (400, 420, 440, 460, 480, 500, 520, 540, 560, 580, 600, 620, 640, 660, 680, 700),
    (82.8, 93.4, 104.9, 117.8, 115.9, 109.4, 104.8, 104.4, 100, 95.8, 90, 87.7, 83.7, 80.2, 78.3, 71.6),
)
# Lobes (height, peak nm, 1/width left, 1/width right) of the colour matching functions x, y, z.
_OBSERVER = (
    ((1.056, 599.8, 0.0264, 0.0323), (0.362, 442.0, 0.0624, 0.0374), (-0.065, 501.1, 0.0490, 0.0382)),
    ((0.821, 568.8, 0.0213, 0.0247), (0.286, 530.9, 0.0613, 0.0322)),
    ((1.217, 437.0, 0.0845, 0.0278), (0.681, 459.0, 0.0385, 0.0725)),
)
# fmt: on
_RGB_FROM_XYZ = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
_WHITE_XYZ = np.array([0.9505, 1.0, 1.089])


class _Table(NamedTuple):
    log_melanin: NDArray[np.float64]
    blood: NDArray[np.float64]
    rgb: NDArray[np.float64]  # (melanin, blood, 3)


def skin_rgb(melanin: ArrayLike, blood: ArrayLike) -> Colours:
    """Linear RGB of skin with these volume fractions of melanin (epidermis) and blood (dermis)."""
    table = _table()
    row = _position(np.log(np.asarray(melanin, float)), table.log_melanin)
    column = _position(np.asarray(blood, float), table.blood)
    row, column = np.broadcast_arrays(row, column)
    i, j = row.astype(int), column.astype(int)
    u, v = (row - i)[..., None], (column - j)[..., None]
    below = table.rgb[i, j] * (1 - v) + table.rgb[i, j + 1] * v
    above = table.rgb[i + 1, j] * (1 - v) + table.rgb[i + 1, j + 1] * v
    return np.asarray((1 - _SURFACE_SHARE) * (below * (1 - u) + above * u) + _SURFACE_RGB)


def individual_typology_angle(rgb: ArrayLike) -> NDArray[np.float64]:
    """ITA in degrees of linear RGB: above 55 very light, below -30 dark (CIE Lab, D65)."""
    xyz = np.asarray(rgb, float) @ np.linalg.inv(_RGB_FROM_XYZ).T / _WHITE_XYZ
    curve = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    lightness, blue_yellow = 116 * curve[..., 1] - 16, 200 * (curve[..., 1] - curve[..., 2])
    return np.asarray(np.degrees(np.arctan2(lightness - 50, blue_yellow)))


def melanin_of_typology_angle(angle: float, blood: float) -> float:
    """Volume fraction of melanin that gives skin this ITA in degrees, within what the pigments can reach."""
    melanin = np.geomspace(*_MELANIN_RANGE, 200)
    angles = individual_typology_angle(skin_rgb(melanin, blood))
    return float(np.interp(-angle, -angles, melanin))


def _position(values: NDArray[np.float64], axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where values lie on an evenly spaced axis, in steps, clamped to it."""
    return np.clip((values - axis[0]) / (axis[1] - axis[0]), 0, len(axis) - 1.001)


@lru_cache(maxsize=1)
def _table() -> _Table:
    """Linear RGB of the diffuse reflection over a grid of both pigments."""
    log_melanin = np.log(np.geomspace(*_MELANIN_RANGE, _TABLE_SHAPE[0]))
    blood = np.linspace(*_BLOOD_RANGE, _TABLE_SHAPE[1])
    reflectance = _epidermis(np.exp(log_melanin))[:, None] ** 2 * _dermis(blood)[None]
    daylight = np.interp(_WAVELENGTHS_NM, *_DAYLIGHT)
    observer = np.stack([_lobes(lobes) for lobes in _OBSERVER]) * daylight
    rgb = reflectance @ observer.T @ _RGB_FROM_XYZ.T
    white = _RGB_FROM_XYZ @ observer.sum(axis=1)
    return _Table(log_melanin, blood, np.clip(rgb / white, 0.003, 1))


def _epidermis(melanin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transmission (melanin, wavelength) of one pass through the epidermis."""
    absorption = np.outer(melanin, 6.6e11 * _WAVELENGTHS_NM**-3.33) + np.outer(1 - melanin, _baseline())
    return np.exp(-absorption * _EPIDERMIS_CM)


def _dermis(blood: NDArray[np.float64]) -> NDArray[np.float64]:
    """Diffuse reflectance (blood, wavelength) of the dermis in the diffusion approximation."""
    oxygenated, deoxygenated = (np.interp(_WAVELENGTHS_NM, *data) for data in (_OXYGENATED, _DEOXYGENATED))
    of_blood = 2.303 * 150 / 64500 * (_OXYGENATION * oxygenated + (1 - _OXYGENATION) * deoxygenated)
    absorption = np.outer(blood, of_blood) + np.outer(1 - blood, _BASELINE_IN_DERMIS * _baseline())
    scattering = 46 * (_WAVELENGTHS_NM / 500) ** -1.421
    return np.exp(-7.8 / np.sqrt(3 * (1 + scattering / absorption)))


def _baseline() -> NDArray[np.float64]:
    """Absorption of skin without pigment, 1/cm."""
    return np.asarray(0.244 + 85.3 * np.exp(-(_WAVELENGTHS_NM - 154) / 66.2))


def _lobes(lobes: tuple[tuple[float, float, float, float], ...]) -> NDArray[np.float64]:
    result = np.zeros_like(_WAVELENGTHS_NM)
    for height, peak, left, right in lobes:
        from_peak = _WAVELENGTHS_NM - peak
        result += height * np.exp(-0.5 * (from_peak * np.where(from_peak < 0, left, right)) ** 2)
    return result
