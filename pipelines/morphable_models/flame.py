"""FLAME 2023 Open and FLAME 2020: face and eyeballs, with the albedo of AlbedoMM where its file is there too."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from models.landmarks import LANDMARK_COUNT, NOSE_TIP
from pipelines.morphable_models.array_pickle import unpickled_arrays, unpickled_npy
from pipelines.morphable_models.assembly import Albedo, ReadModel, check_landmarks, frontal
from pipelines.morphable_models.files import required_file
from pipelines.morphable_models.heads import MM_PER_METRE, Head, cropped, distinct_vertices, shaped, within
from pipelines.topology import Indices, Points, Triangles, edges

MODEL_FILES = ("flame2023_Open.pkl", "flame2023.pkl", "generic_model.pkl")
LANDMARK_FILE = "landmark_embedding.npy"
ALBEDO_FILE = "albedoModel2020_FLAME_albedoPart.npz"
_HOW_TO_OBTAIN_MODEL = "register at flame.is.tue.mpg.de and download FLAME 2023 Open (CC-BY-4.0) into this folder"
_HOW_TO_OBTAIN_LANDMARKS = "take it from the folder data of github.com/yfeng95/DECA (academic use only)"
_IDENTITY_MODES, _EXPRESSION_MODES = 300, 100
_BRIGHTEST = 1.5  # no mean albedo in 0..1 reaches it; one in 0..255 does


def read_flame(root: Path) -> tuple[ReadModel, Albedo | None]:
    """FLAME's face with its eyeballs, in mm; its albedo, linear RGB, or None where AlbedoMM's file is not in `root`.

    The 300 identity and 100 expression modes have unit variance in the file already.

    Deviation: FLAME opens the mouth by turning the jaw at its joint, which no linear mode can do. All joints stay in
    the rest pose and add no mode, so the mouth opens only as far as the expression modes open it.

    Raises FileNotFoundError that tells how to obtain a file, ValueError for another layout, for landmarks of another
    topology, and for a pickle that asks for anything but arrays.
    """
    path = required_file(root, MODEL_FILES, "flame", _HOW_TO_OBTAIN_MODEL)
    landmark_path = required_file(root, [LANDMARK_FILE], "flame", _HOW_TO_OBTAIN_LANDMARKS)
    source = f"flame ({path.name})"
    head = _head(path)
    landmarks = _landmarks(landmark_path, head.triangles)
    check_landmarks(source, head.vertices, landmarks)
    if (root / ALBEDO_FILE).is_file():
        head = _with_albedo(root / ALBEDO_FILE, head)
        source = f"flame ({path.name} with {ALBEDO_FILE})"
    eyeballs = _apart(head, landmarks[NOSE_TIP])
    return cropped(source, head, landmarks, keep=frontal(head.vertices, landmarks) | eyeballs, eyeballs=eyeballs)


def _head(path: Path) -> Head:
    content = unpickled_arrays(path)
    vertices = shaped(path, content, "v_template", ("V", 3))
    triangles = within(path, "f", shaped(path, content, "f", ("F", 3)), len(vertices))
    directions = shaped(path, content, "shapedirs", (len(vertices), 3, _IDENTITY_MODES + _EXPRESSION_MODES))
    modes = MM_PER_METRE * np.moveaxis(directions.astype(np.float64), 2, 0)
    return Head(
        vertices=MM_PER_METRE * vertices.astype(np.float64),
        identity=modes[:_IDENTITY_MODES],
        expression=modes[_IDENTITY_MODES:],
        triangles=triangles.astype(np.int32),
    )


def _landmarks(path: Path, triangles: Triangles) -> Indices:
    """The 68 vertices of the full embedding: the jaw of a frontal face, then the 51 points that never move."""
    content = unpickled_npy(path)
    names = ("full_lmk_faces_idx", "full_lmk_bary_coords")
    faces = within(path, names[0], shaped(path, content, names[0], (1, LANDMARK_COUNT))[0], len(triangles))
    weights = shaped(path, content, names[1], (1, LANDMARK_COUNT, 3))[0]
    return distinct_vertices(path, triangles[faces].astype(np.int64), weights)


def _apart(head: Head, vertex: int) -> NDArray[np.bool_]:
    """The vertices (V,) that no way along edges joins with the given one: the eyeballs."""
    ends = edges(head.triangles)
    count = len(head.vertices)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    parts = connected_components(graph, directed=False)[1]
    return np.asarray(parts != parts[vertex])


def _with_albedo(path: Path, head: Head) -> Head:
    """The head with AlbedoMM's albedo, linear RGB, and the texture coordinates that its file gives.

    The file has no variances. Its authors draw standard normal coefficients for it, one vector for both albedos, so
    each component is taken as one standard deviation. Nor does it say in which order its channels are, and their code
    hands them to OpenCV, which expects blue first. Skin reflects more red than blue, so that decides.

    Reading a basis of the official size takes nearly a gigabyte for a moment.
    """
    with np.load(path, allow_pickle=False) as content:
        points = shaped(path, content, "vt", ("T", 2))
        corners = within(path, "ft", shaped(path, content, "ft", (len(head.triangles), 3)), len(points))
        used, first = np.unique(head.triangles, return_index=True)
        uv = np.zeros((len(head.vertices), 2))
        uv[used] = points[corners.ravel()[first]]
        diffuse = _sampled(shaped(path, content, "MU", ("H", "W", 3)), uv)
        specular = _sampled(shaped(path, content, "specMU", ("H", "W", 3)), uv)
        diffuse_modes = _sampled(shaped(path, content, "PC", ("H", "W", 3, "K")), uv)
        modes = diffuse_modes.shape[-1]
        specular_modes = _sampled(shaped(path, content, "specPC", ("H", "W", 3, modes)), uv)
    if diffuse.max() > _BRIGHTEST:
        raise ValueError(f"{path}: MU reaches {diffuse.max():.3g}, expected linear RGB in 0 to 1")
    red, _, blue = diffuse.mean(axis=0)
    rgb = [0, 1, 2] if red > blue else [2, 1, 0]
    albedo = Albedo(
        mean_diffuse=diffuse[:, rgb],
        diffuse_basis=np.moveaxis(diffuse_modes[:, rgb], 2, 0),
        mean_specular=specular[:, rgb],
        specular_basis=np.moveaxis(specular_modes[:, rgb], 2, 0),
    )
    return head._replace(uv=uv, albedo=albedo)


def _sampled(texture: NDArray[Any], uv: Points) -> NDArray[np.float64]:
    """Values (V, 3) or (V, 3, K) of a texture (H, W, 3) or (H, W, 3, K), bilinear; v up, pixel centres at +0.5."""
    height, width = texture.shape[:2]
    column = np.clip(uv[:, 0] * width - 0.5, 0, width - 1)
    row = np.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1)
    left, top = column.astype(int), row.astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    below = (slice(None), *(None,) * (texture.ndim - 2))
    across, down = (column - left)[below], (row - top)[below]
    upper = (1 - across) * texture[top, left] + across * texture[top, right]
    lower = (1 - across) * texture[bottom, left] + across * texture[bottom, right]
    return np.asarray((1 - down) * upper + down * lower, np.float64)
