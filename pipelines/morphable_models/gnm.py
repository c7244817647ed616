"""GNM Head v3 of Google (Apache-2.0): the front of its skin and its eyeballs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.landmarks import LANDMARK_COUNT
from pipelines.morphable_models.assembly import ReadModel, check_landmarks, frontal
from pipelines.morphable_models.files import required_file
from pipelines.morphable_models.heads import MM_PER_METRE, Head, cropped, distinct_vertices, shaped, within
from pipelines.topology import Indices, Points

MODEL_FILE = "gnm_head.npz"
LANDMARK_FILE = "head_sparse_68.txt"
_HOW_TO_OBTAIN_MODEL = (
    "download v3_0/gnm_head.npz from huggingface.co/google/gnm-v3, or from early revisions of github.com/google/GNM,"
    " folder gnm/shape/data/versions (Apache-2.0)"
)
_HOW_TO_OBTAIN_LANDMARKS = "download it from github.com/google/GNM, folder gnm/shape/data/landmarks (Apache-2.0)"
_VERSION, _VARIANT = "3.", "head"
_CORNEAS = ("eye_exteriors", "eyeball_exterior")  # the name of the group depends on the revision
_RIGHT_JAW = slice(2, 7)


def read_gnm(root: Path) -> tuple[ReadModel, None]:
    """GNM's face with its eyeballs, in mm; it has no albedo.

    All modes are kept, as the basis was whitened as a whole: those of the teeth and the tongue move nothing here, those
    of the eyeballs and pupils move the eyes. Teeth, tongue and the sock behind the lips are left out, and so are the
    corneas, which are transparent and hide the eyes of a renderer that knows opaque surfaces only. The file's texture
    coordinates are not taken: its parts lie on top of each other there.

    Raises FileNotFoundError that tells how to obtain a file, ValueError for another version, layout or topology.
    """
    path = required_file(root, [MODEL_FILE], "gnm", _HOW_TO_OBTAIN_MODEL)
    landmark_path = required_file(root, [LANDMARK_FILE], "gnm", _HOW_TO_OBTAIN_LANDMARKS)
    source = f"gnm ({path.name})"
    with np.load(path, allow_pickle=False) as content:
        _check_version(path, content)
        head = _head(path, content)
        groups = _groups(path, content, len(head.vertices))
    skin = _group(path, groups, "skin") & ~_group(path, groups, "mouth_sock")
    eyeballs = _group(path, groups, "left_eye") | _group(path, groups, "right_eye")
    for name in _CORNEAS:
        eyeballs &= ~groups.get(name, np.zeros(len(eyeballs), bool))
    landmarks = _landmarks(landmark_path, head.vertices, skin)
    check_landmarks(source, head.vertices, landmarks)
    keep = skin & frontal(head.vertices, landmarks) | eyeballs
    read, _ = cropped(source, head, landmarks, keep=keep, eyeballs=eyeballs)
    return read, None


def _check_version(path: Path, content: Mapping[str, Any]) -> None:
    version, variant = (str(shaped(path, content, name, ())) for name in ("version", "variant"))
    if not version.startswith(_VERSION) or variant != _VARIANT:
        raise ValueError(f"{path}: version {version}, variant {variant}, expected version {_VERSION}x, {_VARIANT}")


def _head(path: Path, content: Mapping[str, Any]) -> Head:
    vertices = shaped(path, content, "template_vertex_positions", ("V", 3))
    count = len(vertices)
    identity = shaped(path, content, "vertex_identity_basis", ("I", count, 3))
    expression = shaped(path, content, "expression_basis", ("E", count, 3))
    triangles = within(path, "triangles", shaped(path, content, "triangles", ("F", 3)), count)
    return Head(
        vertices=MM_PER_METRE * vertices.astype(np.float64),
        identity=MM_PER_METRE * identity.astype(np.float32),  # half precision would not hold millimetres
        expression=MM_PER_METRE * expression.astype(np.float32),
        triangles=triangles.astype(np.int32),
    )


def _groups(path: Path, content: Mapping[str, Any], count: int) -> dict[str, NDArray[np.bool_]]:
    """Each named group of vertices as a mask (V,): where its weight is more than a half."""
    weights = shaped(path, content, "vertex_groups", ("G", count))
    names = shaped(path, content, "vertex_group_names", (len(weights),))
    return {str(name): mask for name, mask in zip(names, weights > 0.5, strict=True)}


def _group(path: Path, groups: Mapping[str, NDArray[np.bool_]], name: str) -> NDArray[np.bool_]:
    if name not in groups:
        raise ValueError(f"{path}: expected a vertex group {name}, found only {', '.join(sorted(groups))}")
    return groups[name]


def _landmarks(path: Path, vertices: Points, skin: NDArray[np.bool_]) -> Indices:
    """The 68 vertices, on the skin where there is a choice; a row of the file has three vertices and their weights."""
    rows = np.loadtxt(path, ndmin=2)
    if rows.shape != (LANDMARK_COUNT, 6):
        raise ValueError(f"{path}: a table of {rows.shape}, expected ({LANDMARK_COUNT}, 6): i0 w0 i1 w1 i2 w2 each row")
    corners, weights = within(path, "a vertex", rows[:, ::2], len(vertices)), rows[:, 1::2]
    heights = (vertices[corners, 1] * weights).sum(axis=1)
    if (np.diff(heights[_RIGHT_JAW]) > 0).all():  # earlier revisions list these five from the chin up
        for column in (corners, weights):
            column[_RIGHT_JAW] = column[_RIGHT_JAW][::-1].copy()
    return distinct_vertices(path, corners, np.where(skin[corners], weights, -1.0))
