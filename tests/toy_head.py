"""The toy face as part of a head: with a neck below it and eyeballs behind its eyes, as published heads have them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.landmarks import LANDMARKS
from models.segments import SEGMENT_INDEX
from tests.toy import toy_face_arrays

_EYEBALL_MM = 11.0
_NECK_MM = 30.0
# fmt: off
_OCTAHEDRON = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float64)
_OCTAHEDRON_TRIANGLES = np.array([
    [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4], [1, 0, 5], [2, 1, 5], [3, 2, 5], [0, 3, 5],
])
# fmt: on


class ToyHead(NamedTuple):
    """Geometry in mm; the parts are indices of vertices."""

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int64]
    landmarks: NDArray[np.int64]
    skin: NDArray[np.int64]  # the toy face, what is behind its lips included
    behind_lips: NDArray[np.int64]
    neck: NDArray[np.int64]
    right_eye: NDArray[np.int64]
    left_eye: NDArray[np.int64]

    def modes(self, count: int, seed: int) -> NDArray[np.float64]:
        """Modes (count, V, 3) in mm, all different; the last moves vertex i by i mm to the left, which numbers it."""
        modes = np.random.default_rng(seed).normal(size=(count, len(self.vertices), 3))
        modes[-1, :, 0] = np.arange(len(self.vertices))
        return modes

    def surroundings(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """For each landmark the number of a triangle (68,) and weights (68, 3) that put most on the landmark."""
        faces = np.array([np.flatnonzero((self.triangles == vertex).any(axis=1))[0] for vertex in self.landmarks])
        return faces, np.where(self.triangles[faces] == self.landmarks[:, None], 0.8, 0.1)


def toy_head() -> ToyHead:
    """About 560 vertices in several connected parts; the neck is joined to the face."""
    face = toy_face_arrays()
    ajar = face.mean_shape + 0.1 * face.expression_basis[0]  # 1 mm between the lips, so that it is clear which is upper
    vertices, triangles = [ajar.astype(np.float64)], [face.triangles.astype(np.int64)]
    landmarks = face.landmark_vertices.astype(np.int64)
    chin = np.flatnonzero(vertices[0][:, 1] < vertices[0][:, 1].min() + 1)
    neck = len(vertices[0]) + np.arange(len(chin))
    vertices.append(vertices[0][chin] - [0, _NECK_MM, 0])
    triangles.append(np.stack([chin[:-1], neck[:-1], chin[1:]], 1))
    triangles.append(np.stack([chin[1:], neck[:-1], neck[1:]], 1))
    eyes = []
    for name in ("right_eye", "left_eye"):
        middle = vertices[0][landmarks[list(LANDMARKS[name])]].mean(axis=0)
        eye = middle - [0, 0, _EYEBALL_MM] + _EYEBALL_MM * _OCTAHEDRON
        eye[5, 2] = -150.0  # behind what is cut off
        eyes.append(sum(map(len, vertices)) + np.arange(len(eye)))
        vertices.append(eye)
        triangles.append(eyes[-1][_OCTAHEDRON_TRIANGLES])
    return ToyHead(
        vertices=np.concatenate(vertices),
        triangles=np.concatenate(triangles),
        landmarks=landmarks,
        skin=np.arange(len(vertices[0])),
        behind_lips=np.flatnonzero(face.regions == SEGMENT_INDEX["inner_mouth"]),
        neck=neck,
        right_eye=eyes[0],
        left_eye=eyes[1],
    )


def old_numbers(shape_basis: NDArray[np.floating]) -> NDArray[np.int64]:
    """Which vertex of the head each vertex was, from the last mode of `ToyHead.modes`."""
    return np.rint(shape_basis[-1, :, 0]).astype(np.int64)
