"""What the readers of whole heads share: checks of their arrays, landmarks inside triangles, the crop to the face."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from models.segments import SEGMENT_INDEX
from pipelines.morphable_models.assembly import Albedo, Fields, ReadModel, landmark_regions, mouth_patch
from pipelines.topology import Indices, Points, Triangles, kept_vertices

MM_PER_METRE = 1000.0


class Head(NamedTuple):
    """A whole head in mm; modes of one standard deviation each; texture coordinates in 0..1, v up."""

    vertices: Points
    identity: Fields
    expression: Fields
    triangles: Triangles
    uv: NDArray[np.floating] | None = None  # (V, 2)
    albedo: Albedo | None = None


def cropped(
    source: str, head: Head, landmarks: Indices, *, keep: NDArray[np.bool_], eyeballs: NDArray[np.bool_]
) -> tuple[ReadModel, Albedo | None]:
    """The vertices (V,) of a head to keep; regions from the landmarks, except that the eyeballs (V,) are eyes.

    Raises ValueError when a landmark is not kept.
    """
    old, triangles, new = kept_vertices(keep, head.triangles)
    moved = new[landmarks]
    if moved.min() < 0:
        raise ValueError(f"{source}: the landmarks {np.flatnonzero(moved < 0).tolist()} lie outside the face")
    vertices = head.vertices[old]
    regions = landmark_regions(vertices, moved)
    regions[eyeballs[old]] = SEGMENT_INDEX["eyes"]
    read = ReadModel(
        source=source,
        mean_shape=vertices,
        shape_basis=head.identity[:, old],
        expression_basis=head.expression[:, old],
        triangles=triangles,
        landmark_vertices=moved,
        mouth_triangles=mouth_patch(source, vertices, triangles, moved),
        uv=None if head.uv is None else head.uv[old],
        regions=regions,
    )
    return read, None if head.albedo is None else _part(head.albedo, old)


def distinct_vertices(path: Path, corners: Indices, weights: NDArray[np.floating]) -> Indices:
    """A vertex (K,) for each landmark, given as a point in a triangle: its corners (K, 3), barycentric weights (K, 3).

    It is the corner of the largest weight, unless another landmark would lose more by leaving that vertex: no vertex
    serves twice. Raises ValueError where that cannot be had.
    """
    vertices, column = np.unique(corners, return_inverse=True)
    elsewhere = -2.0 * len(corners)  # worse than any choice among the corners
    gain = np.full((len(corners), len(vertices)), elsewhere)
    np.maximum.at(gain, (np.arange(len(corners))[:, None], column.reshape(corners.shape)), weights)
    landmark, chosen = linear_sum_assignment(gain, maximize=True)
    if len(landmark) < len(corners) or (gain[landmark, chosen] == elsewhere).any():
        raise ValueError(f"{path}: its {len(corners)} landmarks lie on too few vertices for one of its own each")
    return np.asarray(vertices[chosen], np.int64)


def shaped(path: Path, content: Mapping[str, Any], name: str, expected: tuple[int | str, ...]) -> NDArray[Any]:
    """An array of a file; ValueError when it is missing or of another shape, a letter standing for any length."""
    if name not in content:
        raise ValueError(f"{path}: expected an array {name}, found only {', '.join(sorted(content))}")
    array = np.asarray(content[name])
    lengths = zip(array.shape, expected, strict=False)
    if array.ndim != len(expected) or any(isinstance(want, int) and have != want for have, want in lengths):
        wanted = str(expected).replace("'", "")
        raise ValueError(f"{path}: {name} has the shape {array.shape}, expected {wanted}")
    return array


def within(path: Path, name: str, indices: NDArray[Any], count: int) -> Indices:
    """The indices; ValueError unless all lie in 0..count - 1."""
    if indices.min() < 0 or indices.max() >= count:
        raise ValueError(f"{path}: {name} runs from {indices.min()} to {indices.max()}, expected 0 to {count - 1}")
    return indices.astype(np.int64)


def _part(albedo: Albedo, vertices: Indices) -> Albedo:
    return Albedo(
        mean_diffuse=albedo.mean_diffuse[vertices],
        diffuse_basis=albedo.diffuse_basis[:, vertices],
        mean_specular=albedo.mean_specular[vertices],
        specular_basis=albedo.specular_basis[:, vertices],
    )
