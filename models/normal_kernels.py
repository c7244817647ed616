"""Compiled loops of the vertex normals, one mesh a call, forward and backward; `models.normals` says what they are."""

from typing import Any, no_type_check

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Annotations are for the reader: no_type_check keeps the tests' shape checker from wrapping what numba has to compile.
_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
Array = NDArray[Any]


@njit(**_OPTIONS)
@no_type_check
def add_triangles(vertices: Array, triangles: Array, normals: Array):
    """Into `normals` (V, 3) the sum over the triangles around each vertex of their normals, twice their area long."""
    normals[:] = 0
    for triangle in range(len(triangles)):
        a, b, c = triangles[triangle, 0], triangles[triangle, 1], triangles[triangle, 2]
        ux, uy, uz, vx, vy, vz = _edges(vertices, a, b, c)
        nx, ny, nz = _cross(ux, uy, uz, vx, vy, vz)
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz


@njit(**_OPTIONS)
@no_type_check
def normalize(sums: Array, smallest: float, normals: Array):
    """Sums (V, 3) divided by their length; as they are where it is not above `smallest`."""
    real = sums.dtype.type
    for vertex in range(len(sums)):
        x, y, z = sums[vertex, 0], sums[vertex, 1], sums[vertex, 2]
        length = np.sqrt(x * x + y * y + z * z)
        factor = real(1) / length if length > smallest else real(1)
        normals[vertex, 0], normals[vertex, 1], normals[vertex, 2] = x * factor, y * factor, z * factor


@njit(**_OPTIONS)
@no_type_check
def backward(
    gradient: Array,
    vertices: Array,
    triangles: Array,
    sums: Array,
    smallest: float,
    to_sums: Array,
    to_vertices: Array,
):
    """Gradient of unit normals (V, 3) to the vertices (V, 3).

    With sum s of length l, n = s / l passes (g - n (n . g)) / l on to s; a triangle u x v, which adds to the sums of
    its three corners, passes v x G on to u and G x u to v, G being the sum over its corners.
    """
    _to_sums(gradient, sums, smallest, to_sums)
    to_vertices[:] = 0
    for triangle in range(len(triangles)):
        a, b, c = triangles[triangle, 0], triangles[triangle, 1], triangles[triangle, 2]
        gx = to_sums[a, 0] + to_sums[b, 0] + to_sums[c, 0]
        gy = to_sums[a, 1] + to_sums[b, 1] + to_sums[c, 1]
        gz = to_sums[a, 2] + to_sums[b, 2] + to_sums[c, 2]
        ux, uy, uz, vx, vy, vz = _edges(vertices, a, b, c)
        px, py, pz = _cross(vx, vy, vz, gx, gy, gz)
        qx, qy, qz = _cross(gx, gy, gz, ux, uy, uz)
        to_vertices[b, 0] += px
        to_vertices[b, 1] += py
        to_vertices[b, 2] += pz
        to_vertices[c, 0] += qx
        to_vertices[c, 1] += qy
        to_vertices[c, 2] += qz
        to_vertices[a, 0] -= px + qx
        to_vertices[a, 1] -= py + qy
        to_vertices[a, 2] -= pz + qz


@njit(**_OPTIONS)
@no_type_check
def _to_sums(gradient: Array, sums: Array, smallest: float, to_sums: Array):
    real = sums.dtype.type
    for vertex in range(len(sums)):
        x, y, z = sums[vertex, 0], sums[vertex, 1], sums[vertex, 2]
        gx, gy, gz = gradient[vertex, 0], gradient[vertex, 1], gradient[vertex, 2]
        squared = x * x + y * y + z * z
        length = np.sqrt(squared)
        if length > smallest:
            factor = real(1) / length
            along = (x * gx + y * gy + z * gz) / squared
        else:
            factor, along = real(1), real(0)
        to_sums[vertex, 0] = (gx - along * x) * factor
        to_sums[vertex, 1] = (gy - along * y) * factor
        to_sums[vertex, 2] = (gz - along * z) * factor


@njit(**_OPTIONS)
@no_type_check
def _edges(vertices: Array, a: int, b: int, c: int):
    """From corner a to b, and from a to c."""
    return (
        vertices[b, 0] - vertices[a, 0],
        vertices[b, 1] - vertices[a, 1],
        vertices[b, 2] - vertices[a, 2],
        vertices[c, 0] - vertices[a, 0],
        vertices[c, 1] - vertices[a, 1],
        vertices[c, 2] - vertices[a, 2],
    )


@njit(**_OPTIONS)
@no_type_check
def _cross(ux: float, uy: float, uz: float, vx: float, vy: float, vz: float):
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
