"""Orthogonal modes from stacks of fields."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Fields = NDArray[np.floating]  # (N, V, 3)

ACTION_DEVIATION = 0.45  # of a facial action's activation, for the variance of the modes


class SpanningModes(NamedTuple):
    """Modes that span facial actions exactly, each one standard deviation long."""

    modes: Fields  # (A, V, 3), mm
    action_coefficients: NDArray[np.float64]  # (A, A), from activations
    directions: NDArray[np.floating]  # (A, 3V), orthonormal


def spanning_modes(actions: Fields) -> SpanningModes:
    """The principal axes of independent activations of the actions (A, V, 3); not centred, so that zero stays neutral.

    The largest entry of each mode is positive.
    """
    # not `principal_modes`: squaring the fields costs the precision that the smallest of these modes need
    stack = actions.reshape(len(actions), -1)
    mixing, lengths, directions = np.linalg.svd(ACTION_DEVIATION * stack, full_matrices=False)
    signs = np.sign(directions[np.arange(len(stack)), np.abs(directions).argmax(axis=1)])
    modes = ((signs * lengths)[:, None] * directions).reshape(actions.shape)
    return SpanningModes(modes, mixing * signs / ACTION_DEVIATION, directions)


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
