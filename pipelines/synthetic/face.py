"""The face surface that a photograph shows: from coefficients, or any other mesh with the same fields."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.face_model import FaceModel
from models.segments import SEGMENT_INDEX
from pipelines.synthetic.meshes import Mesh, outer_boundary

_DARK_MOUTH_RGB = (0.02, 0.006, 0.006)  # linear; for face models without an inside of the mouth


class Face(NamedTuple):
    """A face surface with colours and landmarks; it need not lie in the span of a face model."""

    mesh: Mesh
    landmarks: NDArray[np.float32]  # (68, 3) mm
    boundary: NDArray[np.int64]  # vertices of the rim in order, see meshes.outer_boundary


class FaceTopology(NamedTuple):
    """What all faces of one face model share."""

    triangles: NDArray[np.int32]
    segments: NDArray[np.uint8]  # of each triangle
    boundary: NDArray[np.int64]
    landmark_vertices: NDArray[np.int32]
    dark_vertices: NDArray[np.int64]  # copied, black, at the end: the rim of a mouth patch


def face_topology(model: FaceModel) -> FaceTopology:
    """Triangles, their segments and the rim; a model without an inside of the mouth gets its patch as a dark one."""
    arrays = model.arrays
    segments = triangle_segments(arrays.regions, arrays.triangles)
    triangles, dark = arrays.triangles, np.zeros(0, np.int64)
    inner_mouth = SEGMENT_INDEX["inner_mouth"]
    if not (arrays.regions == inner_mouth).any():
        dark, corners = np.unique(arrays.mouth_triangles, return_inverse=True)
        patch = corners.reshape(-1, 3).astype(np.int32) + len(arrays.mean_shape)
        triangles = np.concatenate([triangles, patch])
        segments = np.concatenate([segments, np.full(len(patch), inner_mouth, np.uint8)])
    boundary = outer_boundary(arrays.mean_shape, arrays.triangles)
    return FaceTopology(triangles, segments, boundary, arrays.landmark_vertices, dark)


def triangle_segments(regions: NDArray[np.uint8], triangles: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Segment of each triangle: that of two or three of its corners, else the first corner's."""
    a, b, c = regions[triangles].T
    return np.where(b == c, b, a)


def face_from_coefficients(
    model: FaceModel,
    topology: FaceTopology,
    *,
    shape: NDArray[np.float32],
    expression: NDArray[np.float32],
    diffuse: NDArray[np.float32],
    specular: NDArray[np.float32],
) -> Face:
    """The face of one person with one expression; the albedos (V, 3) are passed because photographs share them."""
    with torch.no_grad():
        vertices = model.vertices(torch.from_numpy(shape)[None], torch.from_numpy(expression)[None])[0].numpy()
    return face_of(topology, vertices, diffuse=diffuse, specular=specular)


def face_of(
    topology: FaceTopology,
    vertices: NDArray[np.float32],
    *,
    diffuse: NDArray[np.float32],
    specular: NDArray[np.float32],
) -> Face:
    """A face with the model's topology and any vertices (V, 3)."""
    dark = topology.dark_vertices
    mesh = Mesh(
        vertices=np.concatenate([vertices, vertices[dark]]),
        triangles=topology.triangles,
        diffuse=np.concatenate([diffuse, np.full((len(dark), 3), _DARK_MOUTH_RGB, np.float32)]),
        specular=np.concatenate([specular, np.zeros((len(dark), 3), np.float32)]),
        segments=topology.segments,
    )
    return Face(mesh, vertices[topology.landmark_vertices], topology.boundary)
