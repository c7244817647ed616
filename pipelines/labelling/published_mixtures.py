"""Skin mixtures as their papers print them, for comparison with the one that is fitted here.

`deng2019`: Deng et al., Accurate 3D Face Reconstruction with Weakly-Supervised Learning, CVPRW 2019 (their published
program), four full covariances a class in YCbCr (ITU-R BT.601, studio range), with a prior of 0.8.
`jones_rehg`: Jones and Rehg, Statistical Color Models with Application to Skin Detection, CVPR 1999, Table 2, sixteen
diagonal covariances a class in RGB; the paper thresholds the ratio of the densities and gives no prior.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from models.mixture import GaussianMixture, ycbcr_from_rgb

# Weight, mean (Y, Cb, Cr), covariance (YY, YCb, YCr, CbCb, CbCr, CrCr).
_DENG_SKIN = (
    (0.24063933, 113.71862, 103.39613, 164.08226, 668.80, -112.30, 120.57, 88.07, -64.01, 172.40),
    (0.16365987, 150.19858, 105.18467, 155.51428, 420.05, 32.45, -75.50, 246.05, -155.50, 162.75),
    (0.26034665, 183.92976, 107.62468, 152.71820, 537.91, 134.17, -207.83, 143.34, -87.20, 131.09),
    (0.33535415, 114.90524, 113.59782, 151.38217, 1200.26, -121.91, 153.82, 44.76, -42.49, 82.82),
)
_DENG_OTHER = (
    (0.12791070, 99.200851, 112.07533, 140.20602, 1520.70, -407.12, -35.01, 562.73, -221.56, 783.13),
    (0.31130761, 110.91392, 125.52969, 130.19237, 4210.32, -92.54, 28.59, 59.62, -28.92, 40.76),
    (0.34245777, 129.75864, 129.96107, 126.96808, 2834.31, -89.85, -39.54, 353.95, -251.74, 273.91),
    (0.21832393, 112.29587, 128.85121, 129.05431, 7344.98, -14.21, 2.38, 4.28, -1.91, 5.12),
)
# Mean (R, G, B), variances, weight.
_JONES_SKIN = (
    (73.53, 29.94, 17.76, 765.40, 121.44, 112.80, 0.0294),
    (249.71, 233.94, 217.49, 39.94, 154.44, 396.05, 0.0331),
    (161.68, 116.25, 96.95, 291.03, 60.48, 162.85, 0.0654),
    (186.07, 136.62, 114.40, 274.95, 64.60, 198.27, 0.0756),
    (189.26, 98.37, 51.18, 633.18, 222.40, 250.69, 0.0554),
    (247.00, 152.20, 90.84, 65.23, 691.53, 609.92, 0.0314),
    (150.10, 72.66, 37.76, 408.63, 200.77, 257.57, 0.0454),
    (206.85, 171.09, 156.34, 530.08, 155.08, 572.79, 0.0469),
    (212.78, 152.82, 120.04, 160.57, 84.52, 243.90, 0.0956),
    (234.87, 175.43, 138.94, 163.80, 121.57, 279.22, 0.0763),
    (151.19, 97.74, 74.59, 425.40, 73.56, 175.11, 0.1100),
    (120.52, 77.55, 59.82, 330.45, 70.34, 151.82, 0.0676),
    (192.20, 119.62, 82.32, 152.76, 92.14, 259.15, 0.0755),
    (214.29, 136.08, 87.24, 204.90, 140.17, 270.19, 0.0500),
    (99.57, 54.33, 38.06, 448.13, 90.18, 151.29, 0.0667),
    (238.88, 203.08, 176.91, 178.38, 156.27, 404.99, 0.0749),
)
_JONES_OTHER = (
    (254.37, 254.41, 253.82, 2.77, 2.81, 5.46, 0.0637),
    (9.39, 8.09, 8.52, 46.84, 33.59, 32.48, 0.0516),
    (96.57, 96.95, 91.53, 280.69, 156.79, 436.58, 0.0864),
    (160.44, 162.49, 159.06, 355.98, 115.89, 591.24, 0.0636),
    (74.98, 63.23, 46.33, 414.84, 245.95, 361.27, 0.0747),
    (121.83, 60.88, 18.31, 2502.24, 1383.53, 237.18, 0.0365),
    (202.18, 154.88, 91.04, 957.42, 1766.94, 1582.52, 0.0349),
    (193.06, 201.93, 206.55, 562.88, 190.23, 447.28, 0.0649),
    (51.88, 57.14, 61.55, 344.11, 191.77, 433.40, 0.0656),
    (30.88, 26.84, 25.32, 222.07, 118.65, 182.41, 0.1189),
    (44.97, 85.96, 131.95, 651.32, 840.52, 963.67, 0.0362),
    (236.02, 236.27, 230.70, 225.03, 117.29, 331.95, 0.0849),
    (207.86, 191.20, 164.12, 494.04, 237.69, 533.52, 0.0368),
    (99.83, 148.11, 188.17, 955.88, 654.95, 916.70, 0.0389),
    (135.06, 131.92, 123.10, 350.35, 130.30, 388.43, 0.0943),
    (135.96, 103.89, 66.88, 806.44, 642.20, 350.36, 0.0477),
)
_SYMMETRIC = [[0, 1, 2], [1, 3, 4], [2, 4, 5]]  # where a covariance's entries stand in a row of Deng's tables

PUBLISHED = ("deng2019", "jones_rehg")


def published_mixtures(name: str) -> tuple[GaussianMixture, GaussianMixture]:
    """Skin's mixture and that of other colours, in YCbCr and double precision; ValueError for an unknown name."""
    if name == "deng2019":
        return _deng(_DENG_SKIN), _deng(_DENG_OTHER)
    if name == "jones_rehg":
        return _jones(_JONES_SKIN), _jones(_JONES_OTHER)
    raise ValueError(f"skin mixtures: expected one of {', '.join(PUBLISHED)}, got {name!r}")


def _deng(rows: tuple[tuple[float, ...], ...]) -> GaussianMixture:
    table = np.array(rows)
    return _mixture(table[:, 0], table[:, 1:4], table[:, 4:][:, _SYMMETRIC])


def _jones(rows: tuple[tuple[float, ...], ...]) -> GaussianMixture:
    """The same densities over YCbCr, which is an affine map of RGB; its volume factor cancels in Bayes' rule."""
    table = np.array(rows)
    means, origin, axes = (
        ycbcr_from_rgb(torch.from_numpy(rgb)).numpy() for rgb in (table[:, :3], np.zeros((1, 3)), np.eye(3))
    )
    linear = (axes - origin).T
    return _mixture(table[:, 6], means, linear @ (table[:, 3:6, None] * linear.T))


def _mixture(
    weights: NDArray[np.float64], means: NDArray[np.float64], covariances: NDArray[np.float64]
) -> GaussianMixture:
    """The printed weights sum to one but for rounding."""
    return GaussianMixture(*(torch.from_numpy(part) for part in (weights / weights.sum(), means, covariances)))
