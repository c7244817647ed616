"""Random smooth fields on the face: low-rank bases of multi-scale Gaussian processes, split by mirror symmetry."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.embedded_face.geometry import MIRROR, Points, farthest_points

_CHUNK = 2000  # vertices at a time, so that the kernel matrix stays small


class Scale(NamedTuple):
    """One component of the kernel: how far values are correlated, and their standard deviation."""

    length_mm: float
    deviation: float


class ScalarBasis(NamedTuple):
    """Columns are scalar fields times their standard deviation: even and odd under the mirror x -> -x."""

    even: NDArray[np.float64]  # (V, K)
    odd: NDArray[np.float64]  # (V, K)


def scalar_basis(points: Points, scales: list[Scale], count: int, landmarks: int) -> ScalarBasis:
    """The `count` strongest even and odd fields of the process, by the Nyström method on `landmarks` spread points."""
    spread = points[farthest_points(points, landmarks)]
    parts = []
    for sign in (1.0, -1.0):
        values, vectors = np.linalg.eigh(_kernel(spread, spread, scales, sign=sign))
        strongest = np.argsort(-values, kind="stable")[:count]
        projection = vectors[:, strongest] / np.sqrt(np.maximum(values[strongest], 1e-8))
        chunks = [points[start : start + _CHUNK] for start in range(0, len(points), _CHUNK)]
        parts.append(np.concatenate([_kernel(chunk, spread, scales, sign=sign) @ projection for chunk in chunks]))
    return ScalarBasis(*parts)


def displacement_fields(basis: ScalarBasis, symmetry: float) -> NDArray[np.float32]:
    """Vector fields (6 K, V, 3) along each axis; `symmetry` in 0..1 is the share of mirror-symmetric motion.

    A symmetric motion moves y and z evenly, x oddly. Single precision, because the stack is large.
    """
    fields = []
    asymmetry = np.sqrt(max(1 - symmetry**2, 0.0))
    for axis in range(3):
        symmetric, antisymmetric = (basis.odd, basis.even) if axis == 0 else (basis.even, basis.odd)
        for scalars, weight in ((symmetric, symmetry), (antisymmetric, asymmetry)):
            field = np.zeros((*scalars.T.shape, 3), np.float32)
            field[:, :, axis] = weight * scalars.T
            fields.append(field)
    return np.concatenate(fields)


def _kernel(first: Points, second: Points, scales: list[Scale], sign: float) -> NDArray[np.float64]:
    """k(x, y) ± k(x, mirrored y), halved."""
    direct, crossed = _squared_distances(first, second), _squared_distances(first, second * MIRROR)
    result = np.zeros_like(direct)
    for length, deviation in scales:
        result += deviation**2 / 2 * (np.exp(-direct / length**2) + sign * np.exp(-crossed / length**2))
    return result


def _squared_distances(first: Points, second: Points) -> NDArray[np.float64]:
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None]
    return np.asarray(np.maximum(squares - 2 * first @ second.T, 0))
