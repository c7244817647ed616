"""Coloured triangle meshes of the parts of a head, and the few shapes they are built from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.segments import SEGMENT_INDEX
from pipelines.topology import rims

Array = NDArray[np.float32]


class Mesh(NamedTuple):
    """A coloured mesh: mm in the frame of the face model, linear RGB."""

    vertices: Array  # (N, 3)
    triangles: NDArray[np.int32]  # (F, 3)
    diffuse: Array  # (N, 3)
    specular: Array  # (N, 3)
    segments: NDArray[np.uint8]  # (F,) number in models.segments.SEGMENTS


def solid(
    vertices: NDArray[np.floating],
    triangles: NDArray[np.int32],
    diffuse: NDArray[np.floating],
    *,
    shine: float,
    segment: str,
) -> Mesh:
    """A mesh of one segment and one specular albedo; `diffuse` is one colour or one for each vertex."""
    return Mesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles,
        diffuse=np.broadcast_to(diffuse, vertices.shape).astype(np.float32),
        specular=np.full(vertices.shape, shine, np.float32),
        segments=np.full(len(triangles), SEGMENT_INDEX[segment], np.uint8),
    )


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """All meshes as one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        triangles=np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=True)]).astype(
            np.int32
        ),
        diffuse=np.concatenate([mesh.diffuse for mesh in meshes]),
        specular=np.concatenate([mesh.specular for mesh in meshes]),
        segments=np.concatenate([mesh.segments for mesh in meshes]),
    )


def grid_triangles(rows: int, columns: int, *, closed: bool) -> NDArray[np.int32]:
    """Triangles of a grid of vertices stored row by row; `closed` joins the last column to the first.

    Counter-clockwise where the columns run to the right and the rows run down.
    """
    row, column = (axis.ravel() for axis in np.mgrid[: rows - 1, : columns - (not closed)])
    a = row * columns + column
    b = row * columns + (column + 1) % columns
    lower = np.stack([a, a + columns, b], axis=1)
    upper = np.stack([b, a + columns, b + columns], axis=1)
    return np.concatenate([lower, upper]).astype(np.int32)


def tube(
    line: NDArray[np.floating], radius: float, *, sides: int = 6, closed: bool = False
) -> tuple[Array, NDArray[np.int32]]:
    """Vertices and triangles of a round bar along a polyline (N, 3), in mm."""
    ahead = np.roll(line, -1, axis=0) - np.roll(line, 1, axis=0)
    if not closed:
        ahead[0], ahead[-1] = line[1] - line[0], line[-1] - line[-2]
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    aside = np.cross(ahead, np.where(np.abs(ahead[:, 2:]) > 0.9, [[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]))
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    upward = np.cross(ahead, aside)
    angle = np.arange(sides) / sides * 2 * np.pi
    rings = line[:, None] + radius * (
        np.cos(angle)[:, None] * aside[:, None] + np.sin(angle)[:, None] * upward[:, None]
    )
    rows = np.concatenate([rings, rings[:1]]) if closed else rings
    triangles = grid_triangles(len(rows), sides, closed=True)
    return rows.reshape(-1, 3).astype(np.float32), triangles


def waves(
    directions: NDArray[np.floating], generator: np.random.Generator, frequency: float, count: int = 12
) -> NDArray[np.float32]:
    """Smooth noise of unit variance on points (N, D): a sum of sine waves in random directions."""
    wave = (generator.normal(size=(count, directions.shape[1])) * frequency).astype(np.float32)
    phase = generator.uniform(0, 2 * np.pi, count).astype(np.float32)
    result: NDArray[np.float32] = np.sin(directions.astype(np.float32) @ wave.T + phase).sum(axis=1) * np.sqrt(
        2 / count
    )
    return result


def outer_boundary(vertices: NDArray[np.floating], triangles: NDArray[np.int32]) -> NDArray[np.int64]:
    """Vertices of the mesh's longest rim in order: for a face, the one at hairline, cheeks and under the chin.

    Raises ValueError for a mesh without a rim.
    """
    found = rims(triangles)
    if not found:
        raise ValueError("the face mesh is closed: expected an open face with a rim to fit a head to")
    return max(found, key=lambda rim: float(np.ptp(vertices[rim], axis=0).sum()))
