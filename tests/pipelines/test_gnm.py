"""GNM Head from files in its official layout: units, what is left of the head, landmarks in either order of the jaw."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.landmarks import LANDMARKS
from models.segments import SEGMENT_INDEX
from pipelines.morphable_models.assembly import Albedo, assembled
from pipelines.morphable_models.gnm import LANDMARK_FILE, MODEL_FILE, read_gnm
from pipelines.topology import rims
from tests.toy_head import ToyHead, old_numbers, toy_head

IDENTITY, EXPRESSION = 7, 5
GROUPS = ("skin", "mouth_sock", "left_eye", "right_eye", "eye_exteriors", "upper_teeth_and_gums")


@pytest.fixture(scope="module")
def head() -> ToyHead:
    return toy_head()


def contents(head: ToyHead) -> dict[str, Any]:
    """What the model's file holds: the toy head, a cornea around each eye and a tooth in front of the face."""
    eyes = [head.right_eye, head.left_eye]
    corneas = [
        1.2 * (head.vertices[eye] - head.vertices[eye].mean(axis=0)) + head.vertices[eye].mean(axis=0) for eye in eyes
    ]
    tooth = head.vertices[head.landmarks[[48, 54, 57]]] + [0, 0, 5]
    vertices = np.concatenate([head.vertices, *corneas, tooth])
    shells = [len(head.vertices) + np.arange(6), len(head.vertices) + np.arange(6, 12)]
    of_eyes = [head.triangles[np.isin(head.triangles, eye).all(axis=1)] for eye in eyes]
    shell_triangles = [faces - eye[0] + shell[0] for faces, eye, shell in zip(of_eyes, eyes, shells, strict=True)]
    teeth = len(head.vertices) + np.arange(12, 15)
    members = (
        np.concatenate([head.skin, head.neck]),
        head.behind_lips,
        np.concatenate([head.left_eye, shells[1]]),
        np.concatenate([head.right_eye, shells[0]]),
        np.concatenate(shells),
        teeth,
    )
    groups = np.stack([np.isin(np.arange(len(vertices)), group) for group in members]).astype(np.float32)
    groups[0, head.landmarks[30]] = 0.9
    groups[1, head.landmarks[62]] = 0.3  # a lip's share in the sock
    triangles = np.concatenate([head.triangles, *shell_triangles, teeth[None]])
    generator = np.random.default_rng(3)
    bases = [generator.normal(size=(modes, len(vertices), 3)) for modes in (IDENTITY, EXPRESSION)]
    bases[0][-1, :, 0] = np.arange(len(vertices))
    return {
        "version": "3.0",
        "variant": "head",
        "template_vertex_positions": (vertices / 1000).astype(np.float32),
        "vertex_identity_basis": (bases[0] / 1000).astype(np.float32),
        "expression_basis": (bases[1] / 1000).astype(np.float32),
        "identity_names": [f"head_{mode}" for mode in range(IDENTITY - 2)] + ["eyes_0", "teeth_0"],
        "expression_names": [f"lower_face_region_{mode}" for mode in range(EXPRESSION - 1)] + ["tongue_0"],
        "triangles": triangles.astype(np.int32),
        "triangle_uvs": generator.uniform(size=(len(triangles), 3, 2)),
        "quads": np.zeros((1, 4), np.int32),
        "vertex_groups": groups,
        "vertex_group_names": list(GROUPS),
        "template_joint_positions": np.zeros((4, 3)),
        "joint_identity_basis": np.zeros((IDENTITY, 4, 3)),
    }


def rows(head: ToyHead) -> NDArray[np.float64]:
    """The table (68, 6) of the landmarks: three vertices, each followed by its weight."""
    faces, weights = head.surroundings()
    return np.stack([head.triangles[faces], weights], axis=2).reshape(68, 6)


def write_files(root: Path, head: ToyHead, **changes: Any) -> Path:
    """Both files in the official layout; what is None is left out."""
    arrays = {name: value for name, value in (contents(head) | changes).items() if value is not None}
    np.savez(root / MODEL_FILE, **arrays)
    np.savetxt(root / LANDMARK_FILE, rows(head), fmt=["%d", "%.6f"] * 3)
    return root


def test_the_official_layout_gives_the_front_of_the_head_in_mm(tmp_path: Path, head: ToyHead) -> None:
    read, albedo = read_gnm(write_files(tmp_path, head))
    written = contents(head)
    old = old_numbers(read.shape_basis)
    for name, key, axis in (
        ("mean_shape", "template_vertex_positions", 0),
        ("shape_basis", "vertex_identity_basis", 1),
        ("expression_basis", "expression_basis", 1),
    ):
        expected = 1000.0 * written[key].take(old, axis=axis)
        np.testing.assert_allclose(getattr(read, name), expected, rtol=1e-5, atol=1e-6, err_msg=name)
    assert len(read.shape_basis) == IDENTITY
    assert len(read.expression_basis) == EXPRESSION
    np.testing.assert_array_equal(old[read.landmark_vertices], head.landmarks)
    kept = np.isin(written["triangles"], old).all(axis=1)
    np.testing.assert_array_equal(old[read.triangles], written["triangles"][kept])
    assert albedo is None
    assert read.uv is None
    assert read.source == f"gnm ({MODEL_FILE})"


@pytest.mark.parametrize("cornea", ["eye_exteriors", "eyeball_exterior"])
def test_neck_sock_teeth_and_corneas_go_and_the_eyeballs_stay(tmp_path: Path, head: ToyHead, cornea: str) -> None:
    names = [name if name != "eye_exteriors" else cornea for name in GROUPS]
    read, _ = read_gnm(write_files(tmp_path, head, vertex_group_names=names))
    old = old_numbers(read.shape_basis)
    eyeballs = np.concatenate([head.right_eye, head.left_eye])
    assert set(eyeballs) <= set(old)
    assert set(old) - set(eyeballs) <= set(head.skin) - set(head.behind_lips)
    assert read.regions is not None
    assert (read.regions[np.isin(old, eyeballs)] == SEGMENT_INDEX["eyes"]).all()
    assert (read.regions[read.landmark_vertices[list(LANDMARKS["jaw"])]] == SEGMENT_INDEX["skin"]).all()


def test_the_patch_closes_the_hole_that_the_sock_leaves(tmp_path: Path, head: ToyHead) -> None:
    read, _ = read_gnm(write_files(tmp_path, head))
    before, after = rims(read.triangles), rims(np.concatenate([read.triangles, read.mouth_triangles]))
    assert len(after) == len(before) - 1
    assert np.isin(read.landmark_vertices[list(LANDMARKS["inner_mouth"])], read.mouth_triangles).all()


def test_the_face_can_be_assembled(tmp_path: Path, head: ToyHead) -> None:
    read, _ = read_gnm(write_files(tmp_path, head))
    skin = np.full_like(read.mean_shape, 0.3)
    arrays = assembled(read, Albedo(skin, skin[None], skin, skin[None]))
    assert len(arrays.shape_basis) == IDENTITY


def test_half_precision_in_metres_becomes_more_precise_millimetres(tmp_path: Path, head: ToyHead) -> None:
    written = contents(head)
    halves = {name: written[name].astype(np.float16) for name in ("vertex_identity_basis", "expression_basis")}
    plain = {name: array.astype(np.float32) for name, array in halves.items()}
    read, _ = read_gnm(write_files(tmp_path, head, **halves))
    expected, _ = read_gnm(write_files(tmp_path, head, **plain))
    np.testing.assert_allclose(read.expression_basis, expected.expression_basis, rtol=1e-6)
    np.testing.assert_allclose(read.shape_basis, expected.shape_basis, rtol=1e-6)


def test_the_jaw_of_earlier_revisions_is_put_in_order(tmp_path: Path, head: ToyHead) -> None:
    expected, _ = read_gnm(write_files(tmp_path, head))
    table = rows(head)
    table[2:7] = table[6:1:-1].copy()
    np.savetxt(tmp_path / LANDMARK_FILE, table)
    np.testing.assert_array_equal(read_gnm(tmp_path)[0].landmark_vertices, expected.landmark_vertices)
    table[[10, 12]] = table[[12, 10]]
    np.savetxt(tmp_path / LANDMARK_FILE, table)
    with pytest.raises(ValueError, match=r"landmark \d+ is .* mm from the mirror image"):
        read_gnm(tmp_path)


def test_landmarks_lie_on_the_skin_where_they_can(tmp_path: Path, head: ToyHead) -> None:
    """A vertex of the sock behind the lips goes, so a corner of less weight serves; without one, there is an error."""
    corner = head.landmarks[64]
    groups = contents(head)["vertex_groups"]
    groups[0, corner] = 0.0
    near = np.argsort(np.linalg.norm(head.vertices[head.skin] - head.vertices[corner], axis=1))[1]
    table = rows(head)
    table[64] = [corner, 0.6, near, 0.3, head.landmarks[54], 0.1]
    write_files(tmp_path, head, vertex_groups=groups)
    np.savetxt(tmp_path / LANDMARK_FILE, table)
    read, _ = read_gnm(tmp_path)
    assert old_numbers(read.shape_basis)[read.landmark_vertices[64]] == near
    table[64] = [corner, 1.0] * 3
    np.savetxt(tmp_path / LANDMARK_FILE, table)
    with pytest.raises(ValueError, match=rf"gnm \({MODEL_FILE}\): the landmarks \[64\] lie outside the face"):
        read_gnm(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "2.1"}, r"version 2\.1, variant head, expected version 3\.x, head"),
        ({"variant": "body"}, r"version 3\.0, variant body, expected version 3\.x, head"),
        ({"version": None}, "expected an array version, found only expression_basis"),
        ({"template_vertex_positions": np.zeros((9, 2))}, r"positions has the shape \(9, 2\), expected \(V, 3\)"),
        ({"expression_basis": np.zeros((4, 9, 3))}, r"basis has the shape \(4, 9, 3\), expected \(E, \d+, 3\)"),
        ({"vertex_identity_basis": np.zeros((4, 9, 3))}, r"basis has the shape \(4, 9, 3\), expected \(I, \d+, 3\)"),
        ({"triangles": np.array([[0, 1, 9999]])}, r"triangles runs from 0 to 9999, expected 0 to \d+"),
        ({"vertex_groups": np.zeros((6, 9))}, r"vertex_groups has the shape \(6, 9\), expected \(G, \d+\)"),
        ({"vertex_group_names": ["skin"]}, r"vertex_group_names has the shape \(1,\), expected \(6,\)"),
        ({"vertex_group_names": list("abcdef")}, "expected a vertex group skin, found only a, b, c, d, e, f"),
    ],
)
def test_another_version_or_layout_is_refused(
    tmp_path: Path, head: ToyHead, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"{MODEL_FILE}: .*{message}"):
        read_gnm(write_files(tmp_path, head, **change))


def test_another_unit_is_refused(tmp_path: Path, head: ToyHead) -> None:
    centimetres = contents(head)["template_vertex_positions"] / 10
    with pytest.raises(ValueError, match=r"the outer corners of the eyes are 9\.1 mm apart.* seems to be in centi"):
        read_gnm(write_files(tmp_path, head, template_vertex_positions=centimetres))


def test_pickled_objects_are_not_loaded(tmp_path: Path, head: ToyHead) -> None:
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_gnm(write_files(tmp_path, head, triangles=np.array([{}], dtype=object)))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((67, 6)), r"a table of \(67, 6\), expected \(68, 6\)"),
        (np.full((68, 6), 5000), "a vertex runs from 5000.0 to 5000.0, expected 0 to"),
    ],
)
def test_another_table_of_landmarks_is_refused(
    tmp_path: Path, head: ToyHead, table: NDArray[np.float64], message: str
) -> None:
    write_files(tmp_path, head)
    np.savetxt(tmp_path / LANDMARK_FILE, table)
    with pytest.raises(ValueError, match=rf"{LANDMARK_FILE}: {message}"):
        read_gnm(tmp_path)


@pytest.mark.parametrize("missing", [MODEL_FILE, LANDMARK_FILE])
def test_missing_files_say_where_to_get_them(tmp_path: Path, head: ToyHead, missing: str) -> None:
    (write_files(tmp_path, head) / missing).unlink()
    with pytest.raises(FileNotFoundError, match=rf"no {missing} in face_model\.root .*github\.com/google/GNM"):
        read_gnm(tmp_path)
