import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from models.face_model import FaceModelArrays
from pipelines.embedded_face.landmarks import alignment_centre
from pipelines.morphable_models.assembly import assembled
from pipelines.morphable_models.bfm2017 import LANDMARK_FILE, read_bfm2017
from pipelines.topology import rims
from tests.toy import toy_face_arrays

FACE12, FULL = "model2017-1_face12_nomouth.h5", "model2017-1_bfm_nomouth.h5"
ALBEDO = "albedoModel2020_face12_albedoPart.h5"
WALL_VERTICES = 7  # of the toy face, its last ones: they close the mouth from behind
OFFSET = np.array([0.5, 12.0, 60.0], np.float32)  # the Basel frame has its origin inside the head


@pytest.fixture(scope="module")
def toy() -> FaceModelArrays:
    """The toy face with a hole for a mouth and specular modes that all differ from zero, as in the real files."""
    arrays = toy_face_arrays()
    count = len(arrays.mean_shape) - WALL_VERTICES
    modes = {name: getattr(arrays, name)[:, :count] for name in ("shape_basis", "expression_basis", "diffuse_basis")}
    rows = {
        name: getattr(arrays, name)[:count] for name in ("mean_shape", "mean_diffuse", "mean_specular", "uv", "regions")
    }
    triangles = arrays.triangles[(arrays.triangles < count).all(axis=1)]
    return replace(arrays, **modes, **rows, triangles=triangles, specular_basis=0.3 * modes["diffuse_basis"])


def _write_model(
    file: h5py.File, name: str, mean: NDArray[np.float32], modes: NDArray[np.float32], toy: FaceModelArrays
) -> None:
    """One linear model of statismo 0.9: unit columns, their variances beside them."""
    columns = modes.reshape(len(modes), -1).T.astype(np.float64)
    deviation = np.linalg.norm(columns, axis=0)
    group = file.create_group(name)
    group["model/mean"] = mean.ravel()
    group["model/noiseVariance"] = 0.0
    group["model/pcaBasis"] = (columns / deviation).astype(np.float32)
    group["model/pcaVariance"] = (deviation**2).astype(np.float32)
    group["representer/points"] = toy.mean_shape.T
    group["representer/cells"] = toy.triangles.T
    group["version/majorVersion"], group["version/minorVersion"] = 0, 9


def write_files(root: Path, toy: FaceModelArrays, name: str = FACE12, albedo: str = ALBEDO) -> Path:
    """Both files in the official layout, with the toy face in them, and its landmarks."""
    marked = {"center.nose.tip": 30, "center.chin.tip": 8, "right.eye.corner_outer": 36, "left.lips.corner": 54}
    marks = [
        {"id": mark, "coordinates": (toy.mean_shape + OFFSET)[toy.landmark_vertices[number]].tolist()}
        for mark, number in marked.items()
    ]
    with h5py.File(root / name, "w") as file:
        _write_model(file, "shape", toy.mean_shape + OFFSET, toy.shape_basis, toy)
        _write_model(file, "expression", np.full_like(toy.mean_shape, 3.0), toy.expression_basis, toy)
        _write_model(file, "color", toy.mean_diffuse, toy.diffuse_basis, toy)
        file["metadata/landmarks/json"] = json.dumps(marks)
    with h5py.File(root / albedo, "w") as file:
        _write_model(file, "diffuseAlbedo", toy.mean_diffuse, toy.diffuse_basis, toy)
        _write_model(file, "specularAlbedo", toy.mean_specular, toy.specular_basis, toy)
        dummy = np.ones((1, *toy.mean_shape.shape), np.float32)
        _write_model(file, "shape", 99 * toy.mean_shape, dummy, toy)
    np.savetxt(root / LANDMARK_FILE, toy.landmark_vertices, fmt="%d")
    return root


def test_the_official_files_give_the_model_that_was_written(tmp_path: Path, toy: FaceModelArrays) -> None:
    arrays = assembled(*read_bfm2017(write_files(tmp_path, toy)))
    centre = alignment_centre(toy.mean_shape, toy.landmark_vertices)
    np.testing.assert_allclose(arrays.mean_shape, toy.mean_shape - centre, atol=1e-4)
    for name in ("shape_basis", "expression_basis", "diffuse_basis", "specular_basis", "mean_diffuse", "mean_specular"):
        np.testing.assert_allclose(getattr(arrays, name), getattr(toy, name), atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(arrays.triangles, toy.triangles)
    np.testing.assert_array_equal(arrays.landmark_vertices, toy.landmark_vertices)


def test_the_hole_between_the_lips_is_closed(tmp_path: Path, toy: FaceModelArrays) -> None:
    read, _ = read_bfm2017(write_files(tmp_path, toy))
    before, after = rims(read.triangles), rims(np.concatenate([read.triangles, read.mouth_triangles]))
    assert len(after) == len(before) - 1


def test_columns_scaled_already_belong_to_version_0_8(tmp_path: Path, toy: FaceModelArrays) -> None:
    expected, _ = read_bfm2017(write_files(tmp_path, toy))

    def scale(file: h5py.File, minor: int) -> None:
        model = file["shape/model"]
        model["pcaBasis"][...] = np.asarray(model["pcaBasis"]) * np.sqrt(np.asarray(model["pcaVariance"]))
        file["shape/version/minorVersion"][...] = minor

    with h5py.File(tmp_path / FACE12, "r+") as file:
        scale(file, 8)
    np.testing.assert_allclose(read_bfm2017(tmp_path)[0].shape_basis, expected.shape_basis, atol=1e-5)
    with h5py.File(tmp_path / FACE12, "r+") as file:
        file["shape/version/minorVersion"][...] = 9
    with pytest.raises(ValueError, match=r"shape: version 0\.9, columns of pcaBasis .* expected unit columns"):
        read_bfm2017(tmp_path)


def test_unit_columns_in_version_0_8_are_refused(tmp_path: Path, toy: FaceModelArrays) -> None:
    write_files(tmp_path, toy)
    with h5py.File(tmp_path / ALBEDO, "r+") as file:
        file["diffuseAlbedo/version/minorVersion"][...] = 8
        file["diffuseAlbedo/model/pcaVariance"][...] = 1e-4
    with pytest.raises(ValueError, match=r"diffuseAlbedo: version 0\.8"):
        read_bfm2017(tmp_path)


def _remove_model(file: h5py.File) -> None:
    del file["expression"]


def _cut_basis(file: h5py.File) -> None:
    basis = np.asarray(file["shape/model/pcaBasis"])[:-3]
    del file["shape/model/pcaBasis"]
    file["shape/model/pcaBasis"] = basis


def _other_triangles(file: h5py.File) -> None:
    cells = np.asarray(file["expression/representer/cells"])[:, ::-1]
    file["expression/representer/cells"][...] = cells


def _moved_mark(file: h5py.File) -> None:
    marks = json.loads(np.asarray(file["metadata/landmarks/json"]).item())
    marks[0]["coordinates"][1] += 9.0
    del file["metadata/landmarks/json"]
    file["metadata/landmarks/json"] = json.dumps(marks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_remove_model, "no statismo model expression"),
        (_cut_basis, r"shape has mean \(\d+,\), pcaBasis .* expected \(3N,\), \(3N, K\), \(K,\)"),
        (_other_triangles, "another topology than"),
        (_moved_mark, r"landmark 30 is 9\.0 mm from the model's mark center\.nose\.tip"),
    ],
)
def test_another_layout_is_refused(
    tmp_path: Path, toy: FaceModelArrays, change: Callable[[h5py.File], None], message: str
) -> None:
    write_files(tmp_path, toy)
    with h5py.File(tmp_path / FACE12, "r+") as file:
        change(file)
    with pytest.raises(ValueError, match=message):
        read_bfm2017(tmp_path)


def test_an_unknown_topology_asks_for_its_landmarks(tmp_path: Path, toy: FaceModelArrays) -> None:
    (write_files(tmp_path, toy) / LANDMARK_FILE).unlink()
    with pytest.raises(ValueError, match=r"no list of landmarks for \d+ vertices, only for \[28588, 53149\]"):
        read_bfm2017(tmp_path)


@pytest.mark.parametrize(("missing", "hint"), [(FACE12, "faces.dmi.unibas.ch"), (ALBEDO, "waps101/AlbedoMM")])
def test_missing_files_say_where_to_get_them(tmp_path: Path, toy: FaceModelArrays, missing: str, hint: str) -> None:
    (write_files(tmp_path, toy) / missing).unlink()
    with pytest.raises(FileNotFoundError, match=hint):
        read_bfm2017(tmp_path)


def test_the_full_head_is_cropped_to_the_face(tmp_path: Path, toy: FaceModelArrays) -> None:
    """A far vertex, as of a neck, goes; bases and indices follow."""
    neck = toy.mean_shape[:3] * [0.2, 0, 0] + [[-5, -190, -40], [5, -190, -40], [0, -200, -40]]

    def extended(values: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = values[..., :3, :] if values is not toy.mean_shape else neck.astype(np.float32)
        return np.concatenate([rows, values], axis=-2).astype(np.float32)

    fields = ("mean_shape", "shape_basis", "expression_basis", "mean_diffuse", "diffuse_basis", "mean_specular")
    changes = {name: extended(getattr(toy, name)) for name in (*fields, "specular_basis")}
    triangles = np.concatenate([[[0, 2, 1]], toy.triangles + 3]).astype(np.int32)
    indices = {name: getattr(toy, name) + np.int32(3) for name in ("landmark_vertices", "mouth_triangles")}
    per_vertex = {name: np.concatenate([getattr(toy, name)[:3], getattr(toy, name)]) for name in ("uv", "regions")}
    whole = FaceModelArrays(source="toy", triangles=triangles, **changes, **indices, **per_vertex)
    read, albedo = read_bfm2017(write_files(tmp_path, whole, FULL, "albedoModel2020_bfm_albedoPart.h5"))
    centre = alignment_centre(read.mean_shape, read.landmark_vertices)
    assert len(read.mean_shape) <= len(toy.mean_shape)
    np.testing.assert_allclose(
        (read.mean_shape - centre)[read.landmark_vertices], _centred(toy)[toy.landmark_vertices], atol=1e-4
    )
    assert albedo.diffuse_basis.shape[1] == len(read.mean_shape)


def _centred(toy: FaceModelArrays) -> NDArray[np.float64]:
    return toy.mean_shape - alignment_centre(toy.mean_shape, toy.landmark_vertices)
