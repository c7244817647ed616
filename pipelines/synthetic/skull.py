"""The size of a head and its bald surface, which hair, hats and the back of the head are built on."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn.functional import normalize

from pipelines.synthetic.face import Face
from pipelines.synthetic.meshes import Array, Mesh, grid_triangles, solid

# Average head: mm about the point between the ears at eye level.
_CENTRE = np.array([0.0, 15.0, -16.0])
_AXES = np.array([76.0, 98.0, 94.0])
_FACE_WIDTH, _EYES_TO_CHIN = 132.0, 113.0  # mm between the landmarks 0 and 16; from eye level down to landmark 8
_EYES_TO_EARS_AT_LEAST = 45.0  # mm; some face models end, with landmarks 0 and 16, well before the ears
_BACK = np.array([0.0, 0.15, -1.0]) / np.hypot(0.15, 1.0)  # where the rings of the back of the head close
_RINGS = 22
_BLENDED_RINGS = 5  # next to the face; colours and normals turn from the rim's into the skull's


class HeadFrame(NamedTuple):
    """Stretches the average head to a person's."""

    origin: Array  # (3,) mm, between the ears at eye level
    stretch: Array  # (3,)

    def place(self, points: NDArray[np.floating]) -> Array:
        """Points of the average head in the frame of the face model."""
        placed: Array = (points * self.stretch + self.origin).astype(np.float32)
        return placed

    def measure(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Points of the face model on the average head: undoes `place`."""
        return (points - self.origin) / self.stretch


class HeadSurface(NamedTuple):
    """Distance of the bald surface from the skull's centre, by direction."""

    tree: cKDTree  # of unit directions
    radii: NDArray[np.floating]  # in units of the skull ellipsoid

    def radius(self, directions: NDArray[np.floating]) -> NDArray[np.floating]:
        """Radius, in units of the skull ellipsoid, at unit directions (N, 3)."""
        distance, nearest = self.tree.query(directions, k=4)
        weight = 1 / (distance + 0.01)
        result: NDArray[np.floating] = (weight * self.radii[nearest]).sum(axis=1) / weight.sum(axis=1)
        return result


def head_frame(landmarks: NDArray[np.floating]) -> HeadFrame:
    """The frame of the head that a face's landmarks (68, 3) belong to."""
    eyes, ears, chin = landmarks[36:48].mean(axis=0), landmarks[[0, 16]], landmarks[8]
    width = abs(ears[1, 0] - ears[0, 0]) / _FACE_WIDTH
    height = (eyes[1] - chin[1]) / _EYES_TO_CHIN
    depth = min(float(ears[:, 2].mean()), eyes[2] - _EYES_TO_EARS_AT_LEAST * width)
    origin = np.array([ears[:, 0].mean(), eyes[1], depth])
    return HeadFrame(origin.astype(np.float32), np.array([width, height, (width + height) / 2], np.float32))


def skull_points(directions: NDArray[np.floating], radius: NDArray[np.floating]) -> NDArray[np.floating]:
    """Points on the average head at unit directions (..., 3) of the skull and a radius in units of its axes."""
    return _CENTRE + directions * radius[..., None] * _AXES


def skull_directions(points: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Unit direction and radius of points of the average head: undoes `skull_points`."""
    offset = (points - _CENTRE) / _AXES
    radius = np.linalg.norm(offset, axis=-1)
    return offset / radius[..., None], radius


def head_surface(face: Face, frame: HeadFrame) -> HeadSurface:
    """The bald surface of face and skull together; the inside of the mouth and the eyeballs do not matter for hair."""
    points = np.concatenate([face.mesh.vertices, _back_vertices(face, frame).reshape(-1, 3)])
    directions, radii = skull_directions(frame.measure(points))
    return HeadSurface(cKDTree(directions), radii)


def back_of_head(face: Face, frame: HeadFrame, skin_rgb: Array) -> Mesh:
    """Skin from the rim of the face to the back of the head, seamless at the rim.

    Its first ring has the colours of the rim, then they fade into the skin's. It counts as skin, because nothing in a
    photograph shows where a face model happens to end.
    """
    vertices = _back_vertices(face, frame)
    fade = np.clip(np.arange(_RINGS) / _BLENDED_RINGS, 0, 1)[:, None, None]
    colour = face.mesh.diffuse[face.boundary].clip(0) * (1 - fade) + skin_rgb * fade
    triangles = grid_triangles(_RINGS, len(face.boundary), closed=True)
    return solid(vertices.reshape(-1, 3), triangles, colour.reshape(-1, 3), shine=0.09, segment="skin")


def seamless(normals_of_face: Tensor, normals_of_head: Tensor, boundary: Tensor) -> Tensor:
    """Normals (1, N, 3) of a head that begins with `back_of_head`, turned into the face's at the rim.

    The face's own normals stay, because they are those of the face model alone; without the blend the rim
    shows as a crease.
    """
    count = _BLENDED_RINGS * len(boundary)
    fade = (torch.arange(_BLENDED_RINGS) / _BLENDED_RINGS).repeat_interleave(len(boundary))[:, None]
    rim = normals_of_face[:, boundary].repeat(1, _BLENDED_RINGS, 1)
    blended = normalize((1 - fade) * rim + fade * normals_of_head[:, :count], dim=-1)
    return torch.cat([blended, normals_of_head[:, count:]], dim=1)


def _back_vertices(face: Face, frame: HeadFrame) -> Array:
    """Rings (R, K, 3) in the frame of the face model: from the rim to the back pole along great circles."""
    directions, radius = skull_directions(frame.measure(face.mesh.vertices[face.boundary]))
    angle = np.arccos((directions @ _BACK).clip(-1, 1))[None, :, None]
    part = np.linspace(0, 0.97, _RINGS)[:, None, None]
    along = (np.sin((1 - part) * angle) * directions + np.sin(part * angle) * _BACK) / np.sin(angle)
    ease = 1 - (1 - np.clip(part[..., 0] / 0.5, 0, 1)) ** 2
    vertices = frame.place(skull_points(along, radius + ease * (1 - radius)))
    vertices[0] = face.mesh.vertices[face.boundary]
    return vertices
