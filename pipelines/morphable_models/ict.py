"""Reads ICT-FaceKit's light face model: 100 identity modes and 52 facial actions as OBJ files, released under MIT."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.landmarks import LANDMARK_COUNT
from models.segments import SEGMENT_INDEX
from pipelines.embedded_face.modes import spanning_modes
from pipelines.morphable_models.assembly import (
    Fields,
    ReadModel,
    check_landmarks,
    frontal,
    landmark_regions,
    mouth_patch,
)
from pipelines.morphable_models.files import required_file
from pipelines.topology import Indices, Points, Triangles, kept_vertices

_SOURCE = "ict"
_FOLDER, _CONFIGURATION, _NEUTRAL = "FaceXModel", "vertex_indices.json", "generic_neutral_mesh.obj"
_HOW_TO_OBTAIN = (
    "it is part of ICT-FaceKit (MIT licence): git clone https://github.com/ICT-VGL/ICT-FaceKit,"
    " or dvc import https://github.com/ICT-VGL/ICT-FaceKit FaceXModel"
)
_MM = 10.0  # per unit of the files, which are in centimetres
_CORRECTIVES = ("mouthClose",)


class Layout(NamedTuple):
    """Which vertices of every file are what, and how many identity files there are."""

    vertex_count: int
    face: range
    eyeballs: range  # left, then right
    identity_count: int


OFFICIAL = Layout(vertex_count=26_719, face=range(9_409), eyeballs=range(21_451, 24_591), identity_count=100)


def read_ict(root: Path, layout: Layout = OFFICIAL) -> tuple[ReadModel, None]:
    """The frontal part of the face area with both eyeballs, in mm; ICT-FaceKit comes without an albedo.

    `root` is a checkout of ICT-FaceKit or its folder FaceXModel. The files have the axes of all face models here; each
    identity differs from the neutral face by one standard deviation of its mode. Only the eyeballs are "eyes"; no
    expression turns them, `eyeLookDown` and its kin move the lids.

    Deviation: the paper's expression coefficients are Gaussian with unit variance, but the expressions of ICT-FaceKit
    are blend shapes with one-sided weights of 0 to 1. The modes are the principal axes of independent weights with a
    root mean square of 0.45. They are not centred: zero stays the neutral face, and the modes span every shape
    exactly. The price is that nothing keeps a fitted face from weights below zero. The sampler does: it draws the
    activations of named actions, not coefficients, and `action_coefficients` translate them; only its small negative
    `jawLeft` and `mouthLeft`, which stand for the other side, lie outside.

    `mouthClose` is left out. It corrects `jawOpen`, lifting the lower lip by 38 mm so that the lips meet in front of
    an open jaw, and needs the same weight; a sampler that moves each action by itself would push the lower lip through
    the upper one and the nose.

    Raises FileNotFoundError for a missing file, and ValueError for a file with another topology or unit.
    """
    folder = root / _FOLDER if (root / _FOLDER).is_dir() else root
    configuration = _configuration(folder, layout)
    neutral = _read_mesh(folder, _NEUTRAL, layout)
    kept, triangles, new = kept_vertices(
        _wanted(neutral.vertices, configuration.landmarks, layout), _triangles(neutral.faces)
    )
    landmarks = new[configuration.landmarks]
    mean_shape = neutral.vertices[kept]
    check_landmarks(_SOURCE, mean_shape, landmarks)
    action_names = [name for name in configuration.expressions if name not in _CORRECTIVES]
    identity_names = [f"identity{number:03d}" for number in range(layout.identity_count)]
    with threadpool_limits(limits=1):  # sums of several threads round differently with their number
        expressions = spanning_modes(_displacements(folder, action_names, neutral)[:, kept])
    return ReadModel(
        source=_SOURCE,
        mean_shape=mean_shape,
        shape_basis=_displacements(folder, identity_names, neutral)[:, kept],
        expression_basis=expressions.modes,
        triangles=triangles,
        landmark_vertices=landmarks,
        mouth_triangles=mouth_patch(_SOURCE, mean_shape, triangles, landmarks),
        regions=_regions(mean_shape, landmarks, np.isin(kept, layout.eyeballs)),
        action_names=tuple(action_names),
        action_coefficients=expressions.action_coefficients.astype(np.float32),
    ), None


class _Configuration(NamedTuple):
    expressions: list[str]
    landmarks: Indices  # (68,) among the vertices of the files


class _Mesh(NamedTuple):
    vertices: Points  # mm, in the order of the file
    faces: list[str]  # lines


def _configuration(folder: Path, layout: Layout) -> _Configuration:
    path = required_file(folder, [_CONFIGURATION], _SOURCE, _HOW_TO_OBTAIN)
    content = json.loads(path.read_text())
    missing = [key for key in ("expressions", "idx_to_landmark_verts") if key not in content]
    if missing:
        raise ValueError(f"{path}: expected the key {missing[0]!r} of ICT-FaceKit, got {', '.join(content) or 'none'}")
    landmarks = np.array(content["idx_to_landmark_verts"], np.int64)
    if len(landmarks) != LANDMARK_COUNT or landmarks.min() < 0 or landmarks.max() >= layout.vertex_count:
        raise ValueError(
            f"{path}: expected {LANDMARK_COUNT} landmarks among {layout.vertex_count} vertices,"
            f" got {len(landmarks)}, the highest {landmarks.max(initial=0)}"
        )
    return _Configuration(list(content["expressions"]), landmarks)


def _read_mesh(folder: Path, name: str, layout: Layout) -> _Mesh:
    path = required_file(folder, [name], _SOURCE, _HOW_TO_OBTAIN)
    mesh = _parsed(path)
    if len(mesh.vertices) != layout.vertex_count:
        raise ValueError(
            f"{path}: expected the {layout.vertex_count} vertices of ICT-FaceKit's topology, got {len(mesh.vertices)}"
        )
    return mesh


def _displacements(folder: Path, names: list[str], neutral: _Mesh) -> Fields:
    """Differences of the named files to the neutral mesh, in mm."""
    return np.stack([_read_variant(folder, f"{name}.obj", neutral) - neutral.vertices for name in names])


def _read_variant(folder: Path, name: str, neutral: _Mesh) -> Points:
    """Vertices in mm of a file that differs from the neutral mesh in nothing else."""
    path = required_file(folder, [name], _SOURCE, _HOW_TO_OBTAIN)
    mesh = _parsed(path)
    if len(mesh.vertices) != len(neutral.vertices):
        raise ValueError(
            f"{path}: expected {len(neutral.vertices)} vertices as in {_NEUTRAL}, got {len(mesh.vertices)}"
        )
    # Comparing the lines is enough for the official files, and fast; corners may also differ in their texture only.
    if mesh.faces != neutral.faces and _polygons(mesh.faces) != _polygons(neutral.faces):
        raise ValueError(
            f"{path}: expected the {len(neutral.faces)} faces of {_NEUTRAL}, got {len(mesh.faces)} faces that differ"
            " from them: another topology"
        )
    return mesh.vertices


def _parsed(path: Path) -> _Mesh:
    """Vertices in mm and lines of faces of an OBJ file, in its order, which libraries for meshes like to change."""
    lines = path.read_text().splitlines()
    corners = [line for line in lines if line.startswith("v ")]
    vertices = np.loadtxt(corners, usecols=(1, 2, 3), ndmin=2) if corners else np.zeros((0, 3))
    return _Mesh(_MM * vertices, [line for line in lines if line.startswith("f ")])


def _polygons(faces: list[str]) -> list[list[int]]:
    """Corners of each face, counted from 0; its indices of texture coordinates are left out."""
    return [[int(corner.split("/")[0]) - 1 for corner in line.split()[1:]] for line in faces]


def _triangles(faces: list[str]) -> Triangles:
    """Polygons as fans around their first corner; the direction of rotation stays."""
    fans = [
        (polygon[0], polygon[i], polygon[i + 1]) for polygon in _polygons(faces) for i in range(1, len(polygon) - 1)
    ]
    return np.array(fans, np.int32).reshape(-1, 3)


def _wanted(vertices: Points, landmarks: Indices, layout: Layout) -> NDArray[np.bool_]:
    """The face area without ears and neck, and the eyeballs."""
    wanted = np.zeros(layout.vertex_count, bool)
    wanted[layout.face] = frontal(vertices, landmarks)[layout.face]
    wanted[layout.eyeballs] = True
    return wanted


def _regions(vertices: Points, landmarks: Indices, eyeballs: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Segments (V,) by outlines; the outlines of the eyes, which contain the rims of the lids, give way to eyeballs."""
    regions = landmark_regions(vertices, landmarks)
    regions[regions == SEGMENT_INDEX["eyes"]] = SEGMENT_INDEX["skin"]
    regions[eyeballs] = SEGMENT_INDEX["eyes"]
    return regions
