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
    return with_fixed_signs((vectors[:, strongest].T.astype(flat.dtype) @ flat).reshape(count, *fields.shape[1:]))


def with_fixed_signs(modes: Fields) -> Fields:
    """The modes with their largest entry positive: the sign of an eigenvector is arbitrary."""
    flat = modes.reshape(len(modes), -1)
    largest = flat[np.arange(len(flat)), np.abs(flat).argmax(axis=1)]
    signs = np.where(largest < 0, -1, 1).astype(flat.dtype)
    return np.asarray((flat * signs[:, None]).reshape(modes.shape))
