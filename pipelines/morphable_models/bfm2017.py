"""The paper's own face model: Basel Face Model 2017 (or 2019) with the albedos of AlbedoMM, from their HDF5 files."""

import json
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from pipelines.morphable_models.assembly import Albedo, ReadModel, frontal, mouth_patch
from pipelines.morphable_models.files import required_file
from pipelines.topology import Indices, Points, Triangles, kept_vertices

SHAPE_FILES = (
    "model2017-1_face12_nomouth.h5",
    "model2017-1_bfm_nomouth.h5",
    "model2019_face12.h5",
    "model2019_bfm.h5",
)
LANDMARK_FILE = "landmarks68.txt"
_HOW_TO_OBTAIN_SHAPE = (
    "register at faces.dmi.unibas.ch/bfm for BFM 2017 (academic use only) and put model2017-1_face12_nomouth.h5 there"
)
_HOW_TO_OBTAIN_ALBEDO = (
    "download it from release v1.0 of github.com/waps101/AlbedoMM (academic use only) into the same folder"
)
_UNSCALED_NORMS = (0.5, 1.05)  # of a column; a basis cropped after its analysis has norms below one
_MARKED_MM = 5.0  # at most, between a landmark vertex and the model's own mark

# iBUG number of the marks in /metadata/landmarks/json that have an exact partner among the 68.
_MARKS = {
    "center.nose.tip": 30,
    "center.chin.tip": 8,
    "right.eye.corner_outer": 36,
    "right.eye.corner_inner": 39,
    "left.eye.corner_inner": 42,
    "left.eye.corner_outer": 45,
    "right.lips.corner": 48,
    "left.lips.corner": 54,
    "center.lips.upper.outer": 51,
    "center.lips.lower.outer": 57,
}

# Vertices of the 68 landmarks, by number of vertices of the mesh; public lists (face12: NextFace, its jaw completed
# from berksaribas/face-reconstruction; bfm: Occlusion-Robust-MoFA), validated against the model's marks on loading.
# fmt: off
_LANDMARKS = {
    28588: (
        16203, 16235, 16260, 16290, 16295, 25899, 26351, 26869, 27061, 27253, 27790, 28275, 22486, 22481, 22451, 22426,
        22394,
        22586, 22991, 23303, 23519, 23736, 24312, 24527, 24743, 25055, 25466,
        8134, 8143, 8151, 8157, 6986, 7695, 8167, 8639, 9346,
        2602, 4146, 4920, 5830, 4674, 3900, 10390, 11287, 12061, 13481, 12331, 11557,
        5522, 6026, 7355, 8181, 9007, 10329, 10857, 9730, 8670, 8199, 7726, 6898,
        6291, 7364, 8190, 9016, 10088, 8663, 8191, 7719,
    ),
    53149: (
        16678, 16817, 16480, 16254, 32170, 32866, 33302, 33598, 33765, 33949, 34239, 34693, 35398, 27717, 27536, 27137,
        27249,
        27998, 28747, 29133, 29336, 29503, 30188, 30352, 30557, 30947, 31682,
        8122, 8137, 8147, 8152, 6627, 7219, 8165, 9107, 9695,
        2475, 4275, 5050, 5829, 4802, 3900, 10382, 11280, 12053, 14123, 12323, 11419,
        5137, 5897, 7467, 8175, 8883, 10450, 11110, 9372, 8666, 8194, 7722, 7012,
        5524, 7358, 8184, 9010, 10852, 8659, 8187, 7715,
    ),
}
# fmt: on


class _Part(NamedTuple):
    """One linear model of a statismo file: instance = mean + Σ coefficient · mode."""

    mean: Points  # (V, 3)
    modes: NDArray[np.float32]  # (K, V, 3), one standard deviation each
    triangles: Triangles


def read_bfm2017(root: Path) -> tuple[ReadModel, Albedo]:
    """BFM shape and expression with AlbedoMM's diffuse and specular albedo of the same topology, from files in `root`.

    Geometry in mm, albedos linear RGB. The mean of the expression model is left out: Eq. 1 has none, and with it zero
    coefficients would not be the neutral face. The shape of an AlbedoMM file is a dummy and never read.

    Raises FileNotFoundError that tells how to obtain a file, ValueError for another layout, topology or scaling.
    """
    path = required_file(root, SHAPE_FILES, "bfm2017", _HOW_TO_OBTAIN_SHAPE)
    kind = "face12" if "face12" in path.name else "bfm"
    albedo_name = f"albedoModel2020_{kind}_albedoPart.h5"
    albedo_path = required_file(root, [albedo_name], "bfm2017", _HOW_TO_OBTAIN_ALBEDO)
    with h5py.File(path) as file:
        shape, expression = _part(file, "shape"), _part(file, "expression")
        marks = _marks(file)
    landmarks = _landmarks(root, len(shape.mean))
    _check_marks(path, shape.mean[landmarks], marks)
    with h5py.File(albedo_path) as file:
        diffuse, specular = _part(file, "diffuseAlbedo"), _part(file, "specularAlbedo")
    for part in (expression, diffuse, specular):
        _check_same_topology(path, shape, albedo_path, part)
    if len(diffuse.modes) != len(specular.modes):
        raise ValueError(f"{albedo_path}: {len(diffuse.modes)} diffuse and {len(specular.modes)} specular modes")
    keep = frontal(shape.mean, landmarks) if kind == "bfm" else np.ones(len(shape.mean), bool)
    keep[landmarks] = True
    old, triangles, new = kept_vertices(keep, shape.triangles)
    mean, moved_landmarks = shape.mean[old], new[landmarks]
    read = ReadModel(
        source=f"bfm2017 ({path.name} with {albedo_name})",
        mean_shape=mean,
        shape_basis=shape.modes[:, old],
        expression_basis=expression.modes[:, old],
        triangles=triangles,
        landmark_vertices=moved_landmarks,
        mouth_triangles=mouth_patch("bfm2017", mean, triangles, moved_landmarks),
    )
    return read, Albedo(diffuse.mean[old], diffuse.modes[:, old], specular.mean[old], specular.modes[:, old])


def _part(file: h5py.File, name: str) -> _Part:
    """Read one linear model; ValueError when it is missing, of another layout, or its scaling is unclear."""
    try:
        group = file[name]
        mean, basis, variance = (np.asarray(group[f"model/{key}"]) for key in ("mean", "pcaBasis", "pcaVariance"))
        cells = np.asarray(group["representer/cells"]).astype(np.int32)
    except KeyError as error:
        raise ValueError(f"{file.filename}: no statismo model {name} ({error.args[0]})") from error
    if basis.shape != (len(mean), len(variance)) or len(mean) % 3:
        raise ValueError(
            f"{file.filename}: {name} has mean {mean.shape}, pcaBasis {basis.shape}, pcaVariance {variance.shape};"
            " expected (3N,), (3N, K), (K,)"
        )
    triangles = cells.T if cells.shape[0] == 3 else cells
    scaled = basis * _scale(f"{file.filename}: {name}", _version(group), basis, variance)
    modes = np.ascontiguousarray(scaled.T, np.float32).reshape(len(variance), -1, 3)
    return _Part(mean.reshape(-1, 3), modes, np.ascontiguousarray(triangles))


def _version(group: h5py.Group) -> tuple[int, int] | None:
    """Version of a model in a statismo file, major and minor, or None where it says nothing."""
    holder = group if "version" in group else group.file
    if "version" not in holder:
        return None
    return tuple(int(np.asarray(holder[f"version/{key}Version"]).item()) for key in ("major", "minor"))  # type: ignore[return-value]


def _scale(
    name: str, version: tuple[int, int] | None, basis: NDArray[np.floating], variance: NDArray[np.floating]
) -> NDArray[np.floating]:
    """What each column (K,) is multiplied by: statismo 0.9 and later store unit columns, 0.8 stores scaled ones."""
    deviation = np.sqrt(variance)
    norms = np.linalg.norm(basis, axis=0)
    lowest, highest = _UNSCALED_NORMS

    def all_near(values: NDArray[np.floating]) -> bool:
        return bool(((values > lowest) & (values < highest)).all())

    is_unit, is_scaled = all_near(norms), all_near(norms / np.maximum(deviation, 1e-12))
    if version is not None and version < (0, 9) and is_scaled:
        return np.ones_like(deviation)
    if (version is None or version >= (0, 9)) and is_unit:
        return deviation
    said = "no version" if version is None else f"version {version[0]}.{version[1]}"
    raise ValueError(
        f"{name}: {said}, columns of pcaBasis of length {norms.min():.3g} to {norms.max():.3g}; expected unit columns"
        " from 0.9 on, columns of the length of their standard deviation in 0.8"
    )


def _marks(file: h5py.File) -> dict[str, NDArray[np.float64]]:
    """The model's own landmarks by name, mm on its mean face; none where the file has none."""
    if "metadata/landmarks/json" not in file:
        return {}
    text = np.asarray(file["metadata/landmarks/json"]).ravel()[0]
    marks = json.loads(text.decode() if isinstance(text, bytes) else str(text))
    return {mark["id"]: np.array(mark["coordinates"], np.float64) for mark in marks}


def _landmarks(root: Path, vertex_count: int) -> Indices:
    if (root / LANDMARK_FILE).is_file():
        return np.loadtxt(root / LANDMARK_FILE, dtype=np.int64).ravel()
    if vertex_count not in _LANDMARKS:
        raise ValueError(
            f"bfm2017: no list of landmarks for {vertex_count} vertices, only for {sorted(_LANDMARKS)}; put the 68"
            f" vertex numbers into {root / LANDMARK_FILE}"
        )
    return np.array(_LANDMARKS[vertex_count])


def _check_marks(path: Path, points: Points, marks: dict[str, NDArray[np.float64]]) -> None:
    for name, number in _MARKS.items():
        if name not in marks:
            continue
        distance = float(np.linalg.norm(points[number] - marks[name]))
        if distance > _MARKED_MM:
            raise ValueError(
                f"{path}: landmark {number} is {distance:.1f} mm from the model's mark {name}, expected at most"
                f" {_MARKED_MM:g}: the list of landmarks belongs to another topology"
            )


def _check_same_topology(path: Path, shape: _Part, other_path: Path, other: _Part) -> None:
    if shape.triangles.shape != other.triangles.shape or not np.array_equal(shape.triangles, other.triangles):
        raise ValueError(
            f"{other_path}: {len(other.mean)} vertices and {len(other.triangles)} triangles, another topology than the"
            f" {len(shape.mean)} and {len(shape.triangles)} of {path.name}"
        )
