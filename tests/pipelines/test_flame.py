"""FLAME from files in its official layout: units, crop, landmarks, albedo, and pickles that are up to something."""

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from models.landmarks import LANDMARKS
from models.segments import SEGMENT_INDEX
from pipelines.morphable_models.assembly import Albedo, assembled, cylinder_uv
from pipelines.morphable_models.flame import ALBEDO_FILE, LANDMARK_FILE, read_flame
from pipelines.morphable_models.heads import distinct_vertices
from tests.toy_head import ToyHead, old_numbers, toy_head

MODEL = "flame2023_Open.pkl"
RGB = np.array([0.5, 0.3, 0.2])  # skin
SLOPES = np.array([[0.1, 0.2, 0.05], [-0.3, 0.1, 0.1]])  # of the colours over u and v
TEXTURE = (24, 32)


@pytest.fixture(scope="module")
def head() -> ToyHead:
    return toy_head()


@pytest.fixture(scope="module")
def modes(head: ToyHead) -> NDArray[np.float64]:
    return np.concatenate([head.modes(300, 1), head.modes(100, 2)])


def contents(head: ToyHead, modes: NDArray[np.float64]) -> dict[str, Any]:
    """What the pickle of FLAME holds."""
    return {
        "v_template": head.vertices / 1000,
        "f": head.triangles.astype(np.uint32),
        "shapedirs": np.asfortranarray(np.moveaxis(modes, 0, 2) / 1000, np.float32),
        "posedirs": np.zeros((len(head.vertices), 3, 2)),
        "J_regressor": csc_matrix(np.eye(5, len(head.vertices))),
        "weights": np.full((len(head.vertices), 5), 0.2),
        "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "J": np.zeros((5, 3)),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def embedding(head: ToyHead) -> dict[str, Any]:
    """What the file of the landmarks holds, tensors included."""
    faces, weights = head.surroundings()
    return {
        "static_lmk_faces_idx": faces[17:],
        "static_lmk_bary_coords": weights[17:],
        "dynamic_lmk_faces_idx": torch.zeros(79, 17, dtype=torch.long),
        "dynamic_lmk_bary_coords": torch.zeros(79, 17, 3),
        "full_lmk_faces_idx": faces[None],
        "full_lmk_bary_coords": weights[None].astype(np.float32),
    }


def write_files(root: Path, content: dict[str, Any], landmarks: dict[str, Any], protocol: int = 4) -> Path:
    (root / MODEL).write_bytes(pickle.dumps(content, protocol))
    np.save(root / LANDMARK_FILE, np.array(landmarks))
    return root


def write_albedo(root: Path, head: ToyHead, **changes: NDArray[Any] | None) -> NDArray[np.float64]:
    """AlbedoMM's file, its colours planes over the texture; the coordinates (V, 2) that each vertex must take."""
    height, width = TEXTURE
    u, v = np.meshgrid((np.arange(width) + 0.5) / width, 1 - (np.arange(height) + 0.5) / height)
    plane = RGB + u[..., None] * SLOPES[0] + v[..., None] * SLOPES[1]
    uv = 0.1 + 0.8 * cylinder_uv(head.vertices)
    seams = np.array(head.triangles)  # the last triangle of a vertex has coordinates beyond a seam
    used, last = np.unique(seams.ravel()[::-1], return_index=True)
    count = np.bincount(seams.ravel(), minlength=len(uv))
    several = used[count[used] > 1]
    seams.ravel()[seams.size - 1 - last[count[used] > 1]] = len(uv) + np.arange(len(several))
    arrays: dict[str, Any] = {
        "MU": plane,
        "PC": np.stack([0.01 * plane, 0.02 * plane], axis=-1),
        "specMU": 0.5 * plane,
        "specPC": np.stack([0.03 * plane, 0.04 * plane], axis=-1),
        "vt": np.concatenate([uv, np.full((len(several), 2), 0.5)]),
        "ft": seams,
    }
    np.savez(root / ALBEDO_FILE, **{name: a for name, a in (arrays | changes).items() if a is not None})
    return uv


def colours(uv: NDArray[np.float64]) -> NDArray[np.float64]:
    return RGB + uv @ SLOPES


@pytest.fixture
def root(tmp_path: Path, head: ToyHead, modes: NDArray[np.float64]) -> Path:
    return write_files(tmp_path, contents(head, modes), embedding(head))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_official_layout_gives_the_head_in_mm(
    tmp_path: Path, head: ToyHead, modes: NDArray[np.float64], protocol: int
) -> None:
    read, albedo = read_flame(write_files(tmp_path, contents(head, modes), embedding(head), protocol))
    old = old_numbers(read.shape_basis)
    np.testing.assert_allclose(read.mean_shape, head.vertices[old], atol=1e-6)
    np.testing.assert_allclose(read.shape_basis, modes[:300, old], atol=1e-4)
    np.testing.assert_allclose(read.expression_basis, modes[300:, old], atol=1e-4)
    np.testing.assert_array_equal(old[read.landmark_vertices], head.landmarks)
    kept = np.isin(head.triangles, old).all(axis=1)
    np.testing.assert_array_equal(old[read.triangles], head.triangles[kept])
    assert albedo is None
    assert read.uv is None
    assert read.source == f"flame ({MODEL})"


def test_the_neck_goes_and_the_eyeballs_stay(root: Path, head: ToyHead) -> None:
    read, _ = read_flame(root)
    old = old_numbers(read.shape_basis)
    eyeballs = np.concatenate([head.right_eye, head.left_eye])
    assert not np.isin(old, head.neck).any()
    assert np.isin(eyeballs, old).all()
    assert read.regions is not None
    assert (read.regions[np.isin(old, eyeballs)] == SEGMENT_INDEX["eyes"]).all()
    assert (read.regions[read.landmark_vertices[list(LANDMARKS["jaw"])]] == SEGMENT_INDEX["skin"]).all()
    assert read.regions[read.landmark_vertices[30]] == SEGMENT_INDEX["nose"]


def test_the_patch_lies_between_the_lips_and_faces_the_viewer(root: Path) -> None:
    read, _ = read_flame(root)
    assert np.isin(read.landmark_vertices[list(LANDMARKS["inner_mouth"])], read.mouth_triangles).all()
    corners = read.mean_shape[read.mouth_triangles]
    outline = read.mean_shape[read.landmark_vertices[list(LANDMARKS["outer_mouth"])]]
    assert (corners >= outline.min(axis=0) - [0.01, 0.01, 99]).all()
    assert (corners <= outline.max(axis=0) + 0.01).all()
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2]
    assert (facing > -1e-6).all()
    assert facing.max() > 1.0


def test_chumpy_arrays_are_read_without_chumpy(
    tmp_path: Path, head: ToyHead, modes: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ch:
        def __init__(self, x: NDArray[np.float64]) -> None:
            self.x, self._dirty_vars, self._itr, self._make_dense, self._depends_on_deps = x, {"x"}, None, False, {}

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    content = contents(head, modes)
    content |= {name: Ch(content[name]) for name in ("shapedirs", "v_template")}
    module = ModuleType("chumpy.ch")
    module.Ch = Ch  # type: ignore[attr-defined]
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "chumpy", ModuleType("chumpy"))
        context.setitem(sys.modules, "chumpy.ch", module)
        for protocol in (0, 2):
            write_files(tmp_path, content, embedding(head), protocol).joinpath(MODEL).rename(tmp_path / f"{protocol}")
    for protocol in (0, 2):
        (tmp_path / f"{protocol}").rename(tmp_path / MODEL)
        read, _ = read_flame(tmp_path)
        old = old_numbers(read.shape_basis)
        np.testing.assert_allclose(read.mean_shape, head.vertices[old], atol=1e-6)
        np.testing.assert_allclose(read.expression_basis, modes[300:, old], atol=1e-4)
    assert "chumpy.ch" not in sys.modules


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]], ids=["red first", "blue first"])
def test_the_albedo_is_sampled_at_the_first_texture_coordinates(root: Path, head: ToyHead, order: list[int]) -> None:
    uv = write_albedo(root, head)
    with np.load(root / ALBEDO_FILE) as content:
        names = ("MU", "PC", "specMU", "specPC")
        write_albedo(root, head, **{name: content[name][:, :, order] for name in names})
    read, albedo = read_flame(root)
    assert albedo is not None
    assert read.uv is not None
    old = old_numbers(read.shape_basis)
    np.testing.assert_allclose(read.uv, uv[old], atol=1e-9)
    expected = colours(uv[old])
    np.testing.assert_allclose(albedo.mean_diffuse, expected, atol=1e-9)
    np.testing.assert_allclose(albedo.diffuse_basis, [0.01 * expected, 0.02 * expected], atol=1e-9)
    np.testing.assert_allclose(albedo.mean_specular, 0.5 * expected, atol=1e-9)
    np.testing.assert_allclose(albedo.specular_basis, [0.03 * expected, 0.04 * expected], atol=1e-9)
    assert ALBEDO_FILE in read.source


def test_the_edge_of_the_texture_is_not_left(root: Path, head: ToyHead) -> None:
    """Coordinates within half a pixel of the edge take the colour of the pixel there."""
    uv = write_albedo(root, head)
    corners = np.tile([[0.0, 1.0], [1.0, 0.0]], (len(uv), 1))[: len(uv)]
    write_albedo(root, head, vt=np.concatenate([corners, corners]))
    _, albedo = read_flame(root)
    assert albedo is not None
    half = 0.5 / np.array(TEXTURE)[::-1]
    expected = colours(np.clip(corners, half, 1 - half))
    both = np.unique(expected, axis=0)
    distance = np.abs(albedo.mean_diffuse[:, None] - both).max(axis=2)  # (V, 2)
    assert distance.min(axis=1).max() < 1e-9
    assert (distance < 1e-9).any(axis=0).all()


def test_face_and_albedo_fit_together(root: Path, head: ToyHead) -> None:
    write_albedo(root, head)
    read, albedo = read_flame(root)
    assert isinstance(albedo, Albedo)
    arrays = assembled(read, albedo)
    assert len(arrays.shape_basis) == 300
    assert len(arrays.expression_basis) == 100
    assert len(arrays.diffuse_basis) == 2


class Reduced:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


@pytest.mark.parametrize("file", [MODEL, LANDMARK_FILE])
@pytest.mark.parametrize(
    ("function", "argument", "name"),
    [
        (os.system, "touch {flag}", r"(posix|nt)\.system"),
        (eval, "open({flag!r}, 'w')", r"(builtins|__builtin__)\.eval"),
        (np.save, "{flag}", r"numpy\.save"),
    ],
)
def test_a_pickle_that_runs_something_is_refused(
    root: Path, head: ToyHead, file: str, function: Callable[..., Any], argument: str, name: str
) -> None:
    flag = root / "it_ran.npy"
    arguments = [argument.format(flag=str(flag)), *([np.zeros(1)] if function is np.save else [])]
    content = {"v_template": Reduced(function, *arguments)}
    if file == MODEL:
        (root / file).write_bytes(pickle.dumps(content))
    else:
        np.save(root / file, np.array(content))
    with pytest.raises(ValueError, match=rf"{file}: .* asks for {name}, which was not run"):
        read_flame(root)
    assert not flag.exists()
    np.load(root / file, allow_pickle=True) if file == LANDMARK_FILE else pickle.loads((root / file).read_bytes())
    assert flag.exists(), "the pickle is harmless, so refusing it proves nothing"


def test_raw_memory_is_never_taken_for_objects(root: Path, head: ToyHead, modes: NDArray[np.float64]) -> None:
    """numpy.ndarray itself would make Python objects of any bytes; the stand-in makes nothing."""
    content = contents(head, modes) | {"v_template": Reduced(np.ndarray, (1,), np.dtype("O"), b"\x41" * 8)}
    write_files(root, content, embedding(head))
    with pytest.raises(ValueError, match=r"v_template has the shape \(\), expected \(V, 3\)"):
        read_flame(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shapedirs": np.zeros((523, 3, 150))}, r"shapedirs has the shape \(523, 3, 150\), expected \(\d+, 3, 400\)"),
        ({"v_template": np.zeros((523, 2))}, r"v_template has the shape \(523, 2\), expected \(V, 3\)"),
        ({"f": np.array([[0, 1, 9999]])}, r"f runs from 0 to 9999, expected 0 to \d+"),
        ({"v_template": None}, r"v_template has the shape \(\), expected \(V, 3\)"),
    ],
)
def test_another_layout_is_refused(
    root: Path, head: ToyHead, modes: NDArray[np.float64], change: dict[str, Any], message: str
) -> None:
    write_files(root, contents(head, modes) | change, embedding(head))
    with pytest.raises(ValueError, match=rf"{MODEL}: {message}"):
        read_flame(root)


def test_another_unit_is_refused(root: Path, head: ToyHead, modes: NDArray[np.float64]) -> None:
    write_files(root, contents(head, modes) | {"v_template": head.vertices / 10}, embedding(head))
    with pytest.raises(ValueError, match=rf"flame \({MODEL}\): the outer corners of the eyes are 9\.1e\+03 mm apart"):
        read_flame(root)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps([1, 2]), "a pickled list, expected a dictionary"),
        (pickle.dumps({"v_template": np.zeros((4, 3))})[:-20], "not a pickle of arrays"),
        (b"", "not a pickle of arrays"),
    ],
    ids=["a list", "cut off", "empty"],
)
def test_damaged_pickles_are_named(root: Path, data: bytes, message: str) -> None:
    (root / MODEL).write_bytes(data)
    with pytest.raises(ValueError, match=rf"{MODEL}: {message}"):
        read_flame(root)


def test_a_file_without_an_array_says_what_it_has(root: Path) -> None:
    (root / MODEL).write_bytes(pickle.dumps({"f": np.zeros((1, 3))}))
    with pytest.raises(ValueError, match=r"expected an array v_template, found only f"):
        read_flame(root)


def test_landmarks_of_another_layout_are_refused(root: Path, head: ToyHead) -> None:
    path = root / LANDMARK_FILE
    np.save(path, np.zeros((68, 3)))
    with pytest.raises(ValueError, match=r"an array \(68, 3\) of float64, expected a single pickled dictionary"):
        read_flame(root)
    path.write_bytes(b"no array at all")
    with pytest.raises(ValueError, match=rf"{LANDMARK_FILE}: not a \.npy file of version 1 or 2"):
        read_flame(root)
    np.save(path, np.array({name: a for name, a in embedding(head).items() if "full" not in name}))
    with pytest.raises(ValueError, match=r"expected an array full_lmk_faces_idx, found only dynamic_lmk_bary_coords"):
        read_flame(root)
    np.save(path, np.array(embedding(head) | {"full_lmk_faces_idx": np.zeros((1, 51), np.int64)}))
    with pytest.raises(ValueError, match=r"full_lmk_faces_idx has the shape \(1, 51\), expected \(1, 68\)"):
        read_flame(root)
    np.save(path, np.array(embedding(head) | {"full_lmk_faces_idx": np.full((1, 68), len(head.triangles))}))
    with pytest.raises(ValueError, match=r"full_lmk_faces_idx runs from \d+ to \d+, expected 0 to \d+"):
        read_flame(root)


def test_no_vertex_is_two_landmarks() -> None:
    corners = np.array([[0, 1, 2], [0, 1, 3], [4, 5, 4]])
    weights = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.9, 0.1, 0.0]])
    assert distinct_vertices(Path("x"), corners, weights).tolist() == [0, 1, 4]
    with pytest.raises(ValueError, match="x: its 4 landmarks lie on too few vertices"):
        distinct_vertices(Path("x"), np.array([[0, 1, 2]] * 4), np.full((4, 3), 1 / 3))
    with pytest.raises(ValueError, match="x: its 3 landmarks lie on too few vertices"):
        distinct_vertices(Path("x"), np.array([[0, 0, 0], [0, 0, 0], [1, 2, 3]]), np.full((3, 3), 1 / 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"specMU": None, "specPC": None}, "expected an array specMU, found only MU, PC, ft, vt"),
        ({"MU": np.full((4, 4, 3), 120.0)}, "MU reaches 120, expected linear RGB in 0 to 1"),
        ({"specPC": np.zeros((4, 4, 3, 5))}, r"specPC has the shape \(4, 4, 3, 5\), expected \(H, W, 3, 2\)"),
        ({"ft": np.zeros((9, 3), np.int64)}, r"ft has the shape \(9, 3\), expected \(\d+, 3\)"),
        ({"vt": np.zeros((9, 2))}, r"ft runs from 0 to \d+, expected 0 to 8"),
    ],
)
def test_another_albedo_is_refused(root: Path, head: ToyHead, change: dict[str, Any], message: str) -> None:
    write_albedo(root, head, **change)
    with pytest.raises(ValueError, match=rf"{ALBEDO_FILE}: {message}"):
        read_flame(root)


def test_an_albedo_with_pickled_objects_is_not_loaded(root: Path, head: ToyHead) -> None:
    write_albedo(root, head, MU=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_flame(root)


@pytest.mark.parametrize(("missing", "hint"), [(MODEL, r"flame\.is\.tue\.mpg\.de"), (LANDMARK_FILE, "yfeng95/DECA")])
def test_missing_files_say_where_to_get_them(root: Path, missing: str, hint: str) -> None:
    (root / missing).unlink()
    with pytest.raises(FileNotFoundError, match=hint):
        read_flame(root)
