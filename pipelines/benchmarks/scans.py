"""Ground-truth meshes: reading them from any usual file, writing them as PLY, and imitating a scanner."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.surface import mesh_normals

FURTHER = "-further"  # before the number in the file name of another scan of the same face

_CELL_MM = 1.7  # spacing of the imitated scan
_HOLE_RADII_MM = (3.0, 9.0)


class Scan(NamedTuple):
    """A ground-truth surface in mm, y up and z out of the face, anywhere in space."""

    vertices: NDArray[np.float64]  # (N, 3)
    triangles: NDArray[np.int64]  # (F, 3)
    landmarks: NDArray[np.float64] | None = None  # (68, 3) mm, where somebody marked them


def read_mesh(path: Path) -> Scan:
    """A triangle mesh as it lies in an OBJ or PLY file; ValueError when the file holds none, or a broken one."""
    try:
        mesh = trimesh.load_mesh(path, process=False, maintain_order=True)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a readable mesh ({error})") from error
    if not isinstance(mesh, trimesh.Trimesh) or len(mesh.faces) == 0:
        raise ValueError(f"{path}: expected a triangle mesh, found no triangle")
    vertices, triangles = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    if not 0 <= triangles.min() <= triangles.max() < len(vertices):
        raise ValueError(f"{path}: a triangle names vertex {triangles.max()} of {len(vertices)}; is the file cut off?")
    broken = int((~np.isfinite(vertices).all(axis=1)).sum())
    if broken:
        raise ValueError(f"{path}: {broken} of {len(vertices)} vertices are not finite; repair or remove the mesh")
    return Scan(vertices, triangles)


def write_mesh(path: Path, vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> None:
    """Write a mesh in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.Trimesh(vertices, triangles, process=False).export(path)


def scanned(
    vertices: NDArray[np.floating],
    triangles: NDArray[np.integer],
    *,
    noise_mm: float,
    hole_fraction: float,
    rng: np.random.Generator,
) -> Scan:
    """What a scanner would deliver of a surface: another mesh, noise along the normals, holes."""
    points, faces = _remeshed(vertices, triangles, rng)
    noisy = points + mesh_normals(points, faces) * rng.normal(scale=noise_mm, size=(len(points), 1))
    kept = ~_holes(noisy, hole_fraction, rng)
    return Scan(*_without_unused(noisy, faces[kept[faces].all(axis=1)]))


def _remeshed(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices of each cell of a randomly turned grid merge into their mean: no vertex and no triangle stays."""
    turned = vertices @ Rotation.random(rng=rng).as_matrix().T
    cells = np.floor(turned / _CELL_MM + rng.uniform(size=3)).astype(np.int64)
    _, cell_of_vertex, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    cell_of_vertex = cell_of_vertex.ravel()
    sums = np.stack([np.bincount(cell_of_vertex, vertices[:, axis]) for axis in range(3)], axis=1)
    faces = cell_of_vertex[triangles]
    a, b, c = np.sort(faces, axis=1).T
    faces = faces[(a != b) & (b != c)]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    return _without_unused(sums / counts[:, None], faces[np.sort(first)])


def _holes(points: NDArray[np.float64], fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    missing = np.zeros(len(points), bool)
    while missing.mean() < fraction:
        centre, radius = points[rng.integers(len(points))], rng.uniform(*_HOLE_RADII_MM)
        missing |= np.linalg.norm(points - centre, axis=1) < radius
    return missing


def _without_unused(
    vertices: NDArray[np.float64], triangles: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    used, renumbered = np.unique(triangles, return_inverse=True)
    return vertices[used], renumbered.reshape(-1, 3)
