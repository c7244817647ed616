"""Compiled loops over pixels: the slope of the gamma curve, distances of colours."""

from typing import Any, no_type_check

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Annotations are for the reader: no_type_check keeps the tests' shape checker from wrapping what numba has to compile.
_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
Array = NDArray[Any]


@njit(**_OPTIONS)
@no_type_check
def gamma_backward(
    gradient: Array, linear: Array, picture: Array, gamma: float, knee: float, dark_slope: float, to_linear: Array
):
    """Gradient of the curve of `models.light.srgb_from_linear`, whose values at `linear` (N,) are `picture` (N,)."""
    real = linear.dtype.type
    exponent, knee, dark_slope = real(1 / gamma), real(knee), real(dark_slope)
    for k in range(len(linear)):
        slope = exponent * picture[k] / linear[k] if linear[k] > knee else dark_slope
        to_linear[k] = gradient[k] * slope if (linear[k] >= 0) & (linear[k] <= 1) else real(0)


@njit(**_OPTIONS)
@no_type_check
def distance(first: Array, second: Array, smallest_square: float, output: Array):
    """Into `output` (N,) the distances of the colours (3, N) of two pictures, never below a smallest one."""
    smallest = first.dtype.type(smallest_square)
    for pixel in range(len(output)):
        red = first[0, pixel] - second[0, pixel]
        green = first[1, pixel] - second[1, pixel]
        blue = first[2, pixel] - second[2, pixel]
        square = red * red + green * green + blue * blue
        output[pixel] = np.sqrt(smallest if square < smallest else square)


@njit(**_OPTIONS)
@no_type_check
def distance_backward(gradient: Array, first: Array, second: Array, distances: Array, to_first: Array):
    """Gradient of the distances (N,), none of them zero, to the first picture (3, N); minus that to the second."""
    for pixel in range(len(distances)):
        factor = gradient[pixel] / distances[pixel]
        for channel in range(3):
            to_first[channel, pixel] = factor * (first[channel, pixel] - second[channel, pixel])
