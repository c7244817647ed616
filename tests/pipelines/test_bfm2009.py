"""Reading BFM 2009 from Deep3DFaceRecon's file, on the toy face in exactly its layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from models.face_model import FaceModelArrays
from pipelines.morphable_models.assembly import assembled
from pipelines.morphable_models.bfm2009 import MODEL_FILE, ORIGINAL_FILE, read_bfm2009
from tests.toy import toy_face_arrays

Contents = dict[str, Any]
OFFSET_MM = np.array([1.0, -4.0, 105.0])  # Deep3DFaceRecon's mean face does not lie at the origin either


@pytest.fixture(scope="module")
def toy() -> FaceModelArrays:
    return toy_face_arrays()


@pytest.fixture
def contents(toy: FaceModelArrays) -> Contents:
    """Keys, shapes, units, index base and number types as `transferBFM09` writes them."""
    encoded = toy.mean_diffuse.astype(np.float64) ** (1 / 2.2)
    texture_modes = toy.diffuse_basis * 255 / (2.2 * encoded**1.2)
    triangle_count = len(toy.triangles)
    vertex_count = len(toy.mean_shape)
    return {
        "meanshape": (toy.mean_shape + OFFSET_MM).reshape(1, -1) / 100,
        "meantex": 255 * encoded.reshape(1, -1),
        "idBase": _columns(toy.shape_basis) / 100,
        "exBase": _columns(toy.expression_basis) / 100,
        "texBase": _columns(texture_modes),
        "tri": (toy.triangles + 1).astype(np.float32),
        "point_buf": np.full((vertex_count, 8), triangle_count + 1, np.float32),
        "tri_mask2": (toy.triangles[: triangle_count // 2] + 1).astype(np.float32),
        "keypoints": (toy.landmark_vertices + 1).reshape(1, -1).astype(np.float32),
        "frontmask2_idx": np.arange(1, vertex_count // 2).reshape(-1, 1).astype(np.float32),
        "skinmask": np.ones((1, vertex_count), np.float32),
    }


def _columns(modes: NDArray[np.floating]) -> NDArray[np.float64]:
    return modes.reshape(len(modes), -1).T.astype(np.float64)


def _written(root: Path, contents: Contents) -> Path:
    savemat(root / MODEL_FILE, contents)
    return root


def test_the_toy_comes_back_in_mm_and_counted_from_zero(
    tmp_path: Path, contents: Contents, toy: FaceModelArrays
) -> None:
    read, _ = read_bfm2009(_written(tmp_path, contents))
    np.testing.assert_allclose(read.mean_shape, toy.mean_shape + OFFSET_MM, atol=1e-4)  # float32 of the toy
    np.testing.assert_allclose(read.shape_basis, toy.shape_basis, atol=1e-5)
    np.testing.assert_allclose(read.expression_basis, toy.expression_basis, atol=1e-5)
    np.testing.assert_array_equal(read.triangles, toy.triangles)
    np.testing.assert_array_equal(read.landmark_vertices, toy.landmark_vertices)


def test_what_is_read_makes_a_face_model_at_the_alignment_centre(
    tmp_path: Path, contents: Contents, toy: FaceModelArrays
) -> None:
    arrays = assembled(*read_bfm2009(_written(tmp_path, contents)))
    np.testing.assert_allclose(arrays.mean_shape, toy.mean_shape, atol=1e-3)  # float32 at 100 mm from the origin
    np.testing.assert_allclose(arrays.mean_diffuse, toy.mean_diffuse, atol=1e-6)
    np.testing.assert_allclose(arrays.diffuse_basis, toy.diffuse_basis, atol=1e-6)
    assert set(arrays.mouth_triangles.ravel()) == set(toy.mouth_triangles.ravel())


def test_albedo_is_the_texture_to_the_power_of_gamma_to_first_order(tmp_path: Path, contents: Contents) -> None:
    contents["meantex"][:] = 127.5
    _, albedo = read_bfm2009(_written(tmp_path, contents))
    np.testing.assert_allclose(albedo.mean_diffuse, 0.217638, atol=1e-6)  # 0.5 ** 2.2
    generator = np.random.default_rng(3)
    coefficients = generator.normal(size=4)
    texture = (contents["texBase"] @ coefficients).reshape(-1, 3)
    linear = np.tensordot(coefficients, albedo.diffuse_basis, axes=1)
    previous = np.inf
    for step in (1.0, 0.1, 0.01):
        exact = ((127.5 + step * texture) / 255) ** 2.2
        worst = np.abs(exact - albedo.mean_diffuse - step * linear).max() / step
        assert worst < 0.2 * previous, "the error must fall with the square of the step"
        previous = worst
    assert previous < 0.01 * np.abs(linear).max()


def test_the_specular_albedo_is_zero_and_has_as_many_modes(tmp_path: Path, contents: Contents) -> None:
    _, albedo = read_bfm2009(_written(tmp_path, contents))
    assert not albedo.mean_specular.any() and not albedo.specular_basis.any()
    assert albedo.specular_basis.shape == albedo.diffuse_basis.shape == (4, *albedo.mean_specular.shape)


def test_clockwise_triangles_are_turned(tmp_path: Path, contents: Contents) -> None:
    contents["tri"] = contents["tri"][:, ::-1]
    read, _ = read_bfm2009(_written(tmp_path, contents))
    a, b, c = (read.mean_shape[read.triangles[:, corner]] for corner in range(3))
    assert np.cross(b - a, c - a)[:, 2].sum() > 0
    assert read.triangles.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float64])
def test_indices_may_have_any_type_of_number(tmp_path: Path, contents: Contents, dtype: type) -> None:
    for key in ("tri", "keypoints"):
        contents[key] = contents[key].astype(dtype)
    read, _ = read_bfm2009(_written(tmp_path, contents))
    assert read.triangles.dtype == np.int32 and read.triangles.min() == 0


def test_a_missing_file_says_how_to_obtain_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"University of Basel.*academic use only.*transferBFM09"):
        read_bfm2009(tmp_path)


def test_the_original_must_be_converted_first(tmp_path: Path, contents: Contents) -> None:
    savemat(tmp_path / ORIGINAL_FILE, {"shapeMU": np.zeros((9, 1))})
    with pytest.raises(ValueError, match=r"found 01_MorphableModel.mat.*converted first.*transferBFM09"):
        read_bfm2009(tmp_path)
    read_bfm2009(_written(tmp_path, contents))  # beside the converted file it does not matter


def test_the_original_under_the_name_of_the_converted_file_is_refused(tmp_path: Path) -> None:
    original = {"shapeMU": np.zeros((9, 1)), "shapePC": np.zeros((9, 2))}
    with pytest.raises(
        ValueError, match=rf"{MODEL_FILE}: no meanshape, .*; expected meanshape, .*, found shapeMU, shapePC"
    ):
        read_bfm2009(_written(tmp_path, original))


def _write_text(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\n" * 10)


def _write_empty(path: Path) -> None:
    path.touch()


def _write_hdf5(path: Path) -> None:
    """MATLAB's format 7.3: HDF5 behind a header of 512 bytes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["meanshape"] = np.zeros((3, 1))
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


@pytest.mark.parametrize("write", [_write_text, _write_empty, _write_hdf5])
def test_another_format_is_refused(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / MODEL_FILE)
    with pytest.raises(ValueError, match=rf"{MODEL_FILE}: expected a MATLAB 5 file"):
        read_bfm2009(tmp_path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.0001, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, contents: Contents, share: float, compressed: bool) -> None:
    path = tmp_path / MODEL_FILE
    savemat(path, dict(sorted(contents.items(), reverse=True)), do_compression=compressed)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=MODEL_FILE):
        read_bfm2009(tmp_path)


def test_a_damaged_compressed_file_is_refused(tmp_path: Path, contents: Contents) -> None:
    path = tmp_path / MODEL_FILE
    savemat(path, contents, do_compression=True)
    content = bytearray(path.read_bytes())
    content[136:138] = b"\xff\xff"  # behind the header of the file and the tag of the first array: zlib's own header
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{MODEL_FILE}: expected a MATLAB 5 file"):
        read_bfm2009(tmp_path)


def test_a_missing_array_is_named(tmp_path: Path, contents: Contents) -> None:
    del contents["exBase"]
    with pytest.raises(
        ValueError, match=rf"{MODEL_FILE}: no exBase; expected .*exBase.*, found meanshape, meantex, idBase, texBase"
    ):
        read_bfm2009(_written(tmp_path, contents))


@pytest.mark.parametrize(
    ("key", "change", "found"),
    [
        ("meanshape", lambda array: array[:, :-1], r"\(1, 14"),
        ("meantex", lambda array: array[:, :-3], r"\(1, 14"),
        ("idBase", lambda array: array.T, r"\(6, 14"),
        ("exBase", lambda array: array[:-3], r"\(14\d\d, 5\)"),
        ("texBase", lambda array: array.T, r"\(4, 14"),
        ("tri", lambda array: array.T, r"\(3, "),
        ("keypoints", lambda array: array[:, :5], r"\(1, 5\)"),
        ("tri", lambda array: array[:0], r"\(0, "),
        ("tri", lambda array: array[None], r"\(1, \d+, 3\)"),
        ("keypoints", lambda array: "nose", "<U4"),
        ("keypoints", lambda array: array.astype(object), "object"),
    ],
)
def test_a_wrong_shape_is_named_with_the_expected_one(
    tmp_path: Path, contents: Contents, key: str, change: Callable[[Any], Any], found: str
) -> None:
    contents[key] = change(contents[key])
    with pytest.raises(ValueError, match=rf"{MODEL_FILE}: {key} is .*{found}.*expected numbers of shape \("):
        read_bfm2009(_written(tmp_path, contents))


@pytest.mark.parametrize("key", ["tri", "keypoints"])
@pytest.mark.parametrize("number", [0, 100_000])
def test_numbers_of_no_vertex_are_refused(tmp_path: Path, contents: Contents, key: str, number: int) -> None:
    contents[key][0, 0] = number
    with pytest.raises(ValueError, match=rf"{key} holds .*{number}.*, expected vertex numbers from 1 to"):
        read_bfm2009(_written(tmp_path, contents))


@pytest.mark.parametrize("factor", [1 / 255, 2.0, np.nan])
def test_a_texture_of_another_range_is_refused(tmp_path: Path, contents: Contents, factor: float) -> None:
    contents["meantex"] = contents["meantex"] * factor
    with pytest.raises(ValueError, match=r"meantex holds .* expected colours in 0\.\.255"):
        read_bfm2009(_written(tmp_path, contents))


def test_a_negative_mean_texture_is_refused(tmp_path: Path, contents: Contents) -> None:
    contents["meantex"][0, 7] = -1.0
    with pytest.raises(ValueError, match=r"meantex holds -1 to .* expected colours in 0\.\.255"):
        read_bfm2009(_written(tmp_path, contents))
