"""Compiled loops of Eqs. 4 and 5, one face a call, forward and backward; `models.light` says what they compute.

Its limits come as arguments: numba's cache would not notice that a constant of another file has changed.
"""

import math
from typing import Any, no_type_check

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Annotations are for the reader: no_type_check keeps the tests' shape checker from wrapping what numba has to compile.
_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
_BAND_0 = 0.5 / math.sqrt(math.pi)
_BAND_1 = math.sqrt(3 / (4 * math.pi))
_BAND_2 = math.sqrt(15 / (4 * math.pi))
_BAND_2_ZZ = math.sqrt(5 / (16 * math.pi))
Array = NDArray[Any]


@njit(**_OPTIONS)
@no_type_check
def forward(
    albedos: Array,
    normals: Array,
    points: Array,
    sh_coefficients: Array,
    light_position: Array,
    light_strength: Array,
    camera: Array,
    shininess: Array,
    smallest_length: float,
    smallest_cosine: float,
    lit: Array,
):
    """Into `lit` (V, 6) diffuse and specular colours of albedos (2, V, 3), in harmonics (9, 3) and L point lights.

    Normals and points are (V, 3), light positions (L, 3), strengths (L,), the camera (3,), shininess (1,) or (V,).
    """
    for v in range(len(normals)):
        normal = (normals[v, 0], normals[v, 1], normals[v, 2])
        point = (points[v, 0], points[v, 1], points[v, 2])
        harmonics = _harmonics(normal[0], normal[1], normal[2])
        for colour in range(3):
            irradiance = _positive(_irradiance(harmonics, sh_coefficients, colour))
            lit[v, colour] = _positive(albedos[0, v, colour]) * irradiance
        out = _unit(_difference(camera, point), smallest_length)[0]
        highlight = lit.dtype.type(0)
        for light in range(len(light_position)):
            position = (light_position[light, 0], light_position[light, 1], light_position[light, 2])
            into = _unit(_difference(point, position), smallest_length)[0]
            if _dot(into, normal) < 0:
                cosine = _dot(_unit(_difference(out, into), smallest_length)[0], normal)
                if cosine > smallest_cosine:
                    power = shininess[v if len(shininess) > 1 else 0]
                    highlight += light_strength[light] * np.exp(power * np.log(cosine))
        for colour in range(3):
            lit[v, 3 + colour] = _positive(albedos[1, v, colour]) * highlight


@njit(**_OPTIONS)
@no_type_check
def diffuse_backward(
    gradient: Array,
    albedos: Array,
    normals: Array,
    sh_coefficients: Array,
    to_albedos: Array,
    to_normals: Array,
    to_sh: Array,
):
    """Add what the diffuse half of the gradient (V, 6) is to the inputs; what no pixel shows costs nothing.

    Colour = albedo x irradiance where neither is negative; the irradiance is linear in the harmonics.
    """
    real = normals.dtype.type
    c1, c2, c3 = real(_BAND_1), real(_BAND_2), real(_BAND_2_ZZ)
    for v in range(len(normals)):
        if gradient[v, 0] == 0 and gradient[v, 1] == 0 and gradient[v, 2] == 0:
            continue
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        harmonics = _harmonics(x, y, z)
        to_x = to_y = to_z = real(0)
        for colour in range(3):
            irradiance = _irradiance(harmonics, sh_coefficients, colour)
            if irradiance < 0:
                continue
            if albedos[0, v, colour] >= 0:
                to_albedos[0, v, colour] += gradient[v, colour] * irradiance
            change = gradient[v, colour] * _positive(albedos[0, v, colour])
            for band in range(9):
                to_sh[band, colour] += change * harmonics[band]
            sh = sh_coefficients[:, colour]
            to_x += change * (c1 * sh[3] + c2 * (y * sh[4] + z * sh[7] + x * sh[8]))
            to_y += change * (c1 * sh[1] + c2 * (x * sh[4] + z * sh[5] - y * sh[8]))
            to_z += change * (c1 * sh[2] + c2 * (y * sh[5] + x * sh[7]) + c3 * real(6) * z * sh[6])
        to_normals[v, 0] += to_x
        to_normals[v, 1] += to_y
        to_normals[v, 2] += to_z


@njit(**_OPTIONS)
@no_type_check
def specular_backward(
    gradient: Array,
    albedos: Array,
    normals: Array,
    points: Array,
    light_position: Array,
    light_strength: Array,
    camera: Array,
    shininess: Array,
    smallest_length: float,
    smallest_cosine: float,
    to_albedos: Array,
    to_normals: Array,
    to_points: Array,
    to_positions: Array,
    to_strengths: Array,
    to_shininess: Array,
):
    """Add what the specular half of the gradient (V, 6) is to the inputs; what no pixel shows costs nothing.

    Colour = albedo x sum over lights of strength x cosine^shininess, where the albedo is not negative.
    """
    real = normals.dtype.type
    for v in range(len(normals)):
        if gradient[v, 3] == 0 and gradient[v, 4] == 0 and gradient[v, 5] == 0:
            continue
        own = v if len(shininess) > 1 else 0
        normal = (normals[v, 0], normals[v, 1], normals[v, 2])
        point = (points[v, 0], points[v, 1], points[v, 2])
        out, out_scale = _unit(_difference(camera, point), smallest_length)
        highlight = to_highlight = real(0)
        for colour in range(3):
            to_highlight += gradient[v, 3 + colour] * _positive(albedos[1, v, colour])
        for light in range(len(light_position)):
            position = (light_position[light, 0], light_position[light, 1], light_position[light, 2])
            into, into_scale = _unit(_difference(point, position), smallest_length)
            if _dot(into, normal) >= 0:
                continue
            half_way, half_way_scale = _unit(_difference(out, into), smallest_length)
            cosine = _dot(half_way, normal)
            if cosine <= smallest_cosine:
                continue
            logarithm = np.log(cosine)
            power = np.exp(shininess[own] * logarithm)
            highlight += light_strength[light] * power
            to_strengths[light] += to_highlight * power
            to_power = to_highlight * light_strength[light] * power
            to_shininess[own] += to_power * logarithm
            to_cosine = to_power * shininess[own] / cosine
            change = _through_unit(_times(to_cosine, normal), half_way, half_way_scale)
            from_out, from_into = _through_unit(change, out, out_scale), _through_unit(change, into, into_scale)
            for axis in range(3):
                to_normals[v, axis] += to_cosine * half_way[axis]
                to_points[v, axis] -= from_out[axis] + from_into[axis]
                to_positions[light, axis] += from_into[axis]
        for colour in range(3):
            if albedos[1, v, colour] >= 0:
                to_albedos[1, v, colour] += gradient[v, 3 + colour] * highlight


@njit(**_OPTIONS)
@no_type_check
def _harmonics(x: float, y: float, z: float):
    """The nine functions of `models.light.sh_basis`."""
    real = type(x)
    c1, c2, c3 = real(_BAND_1), real(_BAND_2), real(_BAND_2_ZZ)
    xx_yy = real(0.5) * c2 * (x * x - y * y)
    zz = c3 * (real(3) * z * z - real(1))
    return real(_BAND_0), c1 * y, c1 * z, c1 * x, c2 * x * y, c2 * y * z, zz, c2 * x * z, xx_yy


@njit(**_OPTIONS)
@no_type_check
def _irradiance(harmonics: tuple, sh: Array, colour: int):
    total = harmonics[0] * sh[0, colour]
    for band in range(1, 9):
        total += harmonics[band] * sh[band, colour]
    return total


@njit(**_OPTIONS)
@no_type_check
def _positive(value: float):
    """Zero for a negative value; NaN stays."""
    return type(value)(0) if value < 0 else value


@njit(**_OPTIONS)
@no_type_check
def _unit(vector: tuple, smallest_length: float):
    """The vector over its length, and one over its length."""
    real = type(vector[0])
    scale = real(1) / np.sqrt(max(_dot(vector, vector), real(smallest_length**2)))
    return _times(scale, vector), scale


@njit(**_OPTIONS)
@no_type_check
def _through_unit(gradient: tuple, unit: tuple, scale: float):
    """Gradient of a unit vector, passed on to the vector that was multiplied by `scale`."""
    return _times(scale, _difference(gradient, _times(_dot(gradient, unit), unit)))


@njit(**_OPTIONS)
@no_type_check
def _times(factor: float, vector: tuple):
    return factor * vector[0], factor * vector[1], factor * vector[2]


@njit(**_OPTIONS)
@no_type_check
def _difference(first: tuple, second: tuple):
    return first[0] - second[0], first[1] - second[1], first[2] - second[2]


@njit(**_OPTIONS)
@no_type_check
def _dot(first: tuple, second: tuple):
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
