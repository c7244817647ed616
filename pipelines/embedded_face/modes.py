"""Orthogonal modes from stacks of fields."""

import numpy as np
from numpy.typing import NDArray

Fields = NDArray[np.floating]  # (N, V, 3)


def principal_modes(fields: Fields, count: int) -> Fields:
    """The `count` strongest orthogonal modes of a sum of independent fields, times their standard deviation.

    Each row of `fields` is one field with a coefficient of unit variance; the modes keep that convention.
    """
    flat = fields.reshape(len(fields), -1)
    values, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    strongest = np.argsort(-values, kind="stable")[:count]
    modes = vectors[:, strongest].T.astype(flat.dtype) @ flat
    # the sign of an eigenvector is arbitrary; the largest entry of each mode is positive
    signs = np.sign(modes[np.arange(count), np.abs(modes).argmax(axis=1)])
    return np.asarray((signs[:, None] * modes).reshape(count, *fields.shape[1:]))
