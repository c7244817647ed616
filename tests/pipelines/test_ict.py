import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from models.face_model import FaceModel, FaceModelArrays
from models.segments import SEGMENT_INDEX
from pipelines.morphable_models.assembly import Albedo, ReadModel, assembled, frontal, landmark_regions
from pipelines.morphable_models.ict import OFFICIAL, Layout, read_ict
from pipelines.synthetic.person import expression_from_actions
from pipelines.topology import rims
from tests.toy import toy_face_arrays

EXPRESSIONS = ("jawOpen", "mouthSmile_L", "browInnerUp_R", "mouthClose", "cheekPuff_L")
CLOSE = EXPRESSIONS.index("mouthClose")
READ = tuple(name for name in EXPRESSIONS if name != "mouthClose")
ROUNDING_MM = 1e-6  # the toy's files have nine decimals of a centimetre
UNUSED = 5  # vertices between the parts, like the head and the teeth of the official files
QUADS = 440  # of the toy's grid; the triangles after them are the walls behind the lips
LOWER_LIP = range(483, 490)  # without corners
WALL = range(490, 497)  # the toy's row of vertices behind its lips
LIPS_APART_MM = 0.8  # in the official neutral face; the toy's lips touch


class ToyFiles(NamedTuple):
    """What the toy's files say, all its vertices, in mm."""

    folder: Path
    layout: Layout
    neutral: NDArray[np.float64]  # (V, 3)
    identities: NDArray[np.float64]  # (I, V, 3)
    expressions: NDArray[np.float64]  # (E, V, 3)
    polygons: list[list[int]]
    arrays: FaceModelArrays  # of the toy that they are made of

    @property
    def kept(self) -> NDArray[np.int64]:
        face = np.flatnonzero(frontal(self.neutral, self.arrays.landmark_vertices)[self.layout.face])
        return np.concatenate([face, self.layout.eyeballs])


@pytest.fixture
def files(tmp_path: Path) -> ToyFiles:
    return _written(tmp_path / "FaceXModel")


@pytest.fixture
def model(files: ToyFiles) -> ReadModel:
    return read_ict(files.folder, files.layout)[0]


def test_the_neutral_face_and_identities_come_back_in_mm(files: ToyFiles, model: ReadModel) -> None:
    assert np.abs(model.mean_shape - files.neutral[files.kept]).max() < ROUNDING_MM
    assert model.shape_basis.shape == (6, len(files.kept), 3)
    assert np.abs(model.shape_basis - (files.identities - files.neutral)[:, files.kept]).max() < ROUNDING_MM


def test_a_checkout_and_its_folder_give_the_same_and_no_albedo(files: ToyFiles, model: ReadModel) -> None:
    of_checkout, albedo = read_ict(files.folder.parent, files.layout)
    assert albedo is None
    np.testing.assert_array_equal(of_checkout.expression_basis, model.expression_basis)


def test_full_activation_of_an_action_is_its_file(files: ToyFiles, model: ReadModel) -> None:
    assert model.action_names == READ
    for name, coefficients in zip(model.action_names, model.action_coefficients, strict=True):
        vertices = model.mean_shape + np.tensordot(coefficients, model.expression_basis, axes=1)
        expected = files.expressions[EXPRESSIONS.index(name), files.kept]
        # the coefficients are float32 of size 2, the modes up to 100 mm long
        assert np.abs(vertices - expected).max() < 1e-5, name
        assert np.abs(vertices - model.mean_shape).max() > 1


def test_modes_are_orthogonal_and_have_the_variance_of_independent_activations(
    files: ToyFiles, model: ReadModel
) -> None:
    modes = model.expression_basis.reshape(len(READ), -1)
    actions = np.delete(files.expressions - files.neutral, CLOSE, axis=0)[:, files.kept].reshape(len(READ), -1)
    products = modes @ modes.T
    assert np.abs(products - np.diag(np.diag(products))).max() < 1e-6 * products.max()
    by_hand = 0.45**2 * sum(np.outer(action, action) for action in actions[:, :300])
    np.testing.assert_allclose(modes[:, :300].T @ modes[:, :300], by_hand, atol=1e-5)
    assert (modes.max(axis=1) > -modes.min(axis=1)).all(), "the sign of a mode must not depend on the library"


def test_the_lip_corrective_of_an_open_jaw_is_in_no_mode(files: ToyFiles, model: ReadModel) -> None:
    corrective = (files.expressions[CLOSE] - files.neutral)[files.kept].ravel()
    directions = np.linalg.svd(model.expression_basis.reshape(len(READ), -1), full_matrices=False)[2]
    outside = corrective - directions.T @ (directions @ corrective)
    assert np.linalg.norm(outside) > 0.5 * np.linalg.norm(corrective)


def test_polygons_become_triangles_with_the_same_surface_and_rotation(files: ToyFiles, model: ReadModel) -> None:
    kept = set(files.kept.tolist())
    polygons = [polygon for polygon in files.polygons if kept.issuperset(polygon)]
    cut = [polygon for polygon in files.polygons if len(kept.intersection(polygon)) == 3 < len(polygon)]
    assert 0 < len(cut) < len(polygons) < len(files.polygons)
    halves = len(model.triangles) - sum(len(polygon) - 2 for polygon in polygons)
    assert 0 < halves <= len(cut)  # at the rim of the frontal face a quad may leave one of its triangles
    # of a polygon, whatever its diagonals: half the sum over its sides
    by_hand = [
        0.5 * np.sum([np.cross(files.neutral[a], files.neutral[b]) for a, b in _sides(polygon)], axis=0)
        for polygon in polygons
    ]
    area = _area(model.mean_shape, model.triangles)
    np.testing.assert_allclose(area, np.sum(by_hand, axis=0), atol=halves * 2 * 6.5**2)
    assert _area(model.mean_shape, model.triangles)[2] > 10_000  # mm² towards the viewer


def test_what_lies_behind_and_below_the_face_is_left_out(files: ToyFiles, model: ReadModel) -> None:
    """The official face area has ears and a neck; the toy's lower corners reach as far back."""
    face = model.mean_shape[: len(files.kept) - len(files.layout.eyeballs)]
    official = files.neutral[files.layout.face]
    landmarks = model.mean_shape[model.landmark_vertices]
    for axis in (1, 2):
        assert face[:, axis].min() > landmarks[:, axis].min() - 15
    assert official[:, 2].min() < landmarks[:, 2].min() - 15 and len(face) < len(official)


def test_only_eyeballs_are_eyes(files: ToyFiles, model: ReadModel) -> None:
    assert model.regions is not None
    eyes = SEGMENT_INDEX["eyes"]
    face = len(files.kept) - len(files.layout.eyeballs)
    np.testing.assert_array_equal(np.flatnonzero(model.regions == eyes), np.arange(face, len(files.kept)))
    outlined = landmark_regions(model.mean_shape, model.landmark_vertices)[:face]
    assert (outlined == eyes).any(), "the toy has no vertex within its eyes"
    expected = np.where(outlined == eyes, SEGMENT_INDEX["skin"], outlined)
    np.testing.assert_array_equal(model.regions[:face], expected)
    assert (expected == SEGMENT_INDEX["lips"]).any()


def test_the_mouth_patch_lies_between_the_lips_though_the_hole_lies_behind_them(
    files: ToyFiles, model: ReadModel
) -> None:
    holes = [rim for rim in rims(model.triangles) if np.isin(WALL, files.kept[rim]).all()]
    assert len(holes) == 1, "the toy has no hole in its wall"
    assert not np.isin(model.landmark_vertices[60:], holes[0]).any()
    patch = files.kept[model.mouth_triangles]
    assert set(np.unique(patch)) == set(np.unique(files.arrays.mouth_triangles))
    opened = files.expressions[EXPRESSIONS.index("jawOpen")]
    expected = _area(opened, files.arrays.mouth_triangles)
    np.testing.assert_allclose(_area(opened, patch), expected, atol=1e-5)
    assert expected[2] > 100  # mm²


def test_the_assembled_face_model_moves_by_named_actions(files: ToyFiles, model: ReadModel) -> None:
    grey, none = np.full_like(model.mean_shape, 0.5), np.zeros((1, *model.mean_shape.shape))
    arrays = assembled(model, Albedo(grey, none, grey, none))
    assert arrays.source == "ict"
    coefficients = expression_from_actions(FaceModel(arrays), {"mouthSmile": 1.0})
    moved = np.tensordot(coefficients, arrays.expression_basis, axes=1)
    expected = (files.expressions[EXPRESSIONS.index("mouthSmile_L")] - files.neutral)[files.kept]
    assert np.abs(moved - expected).max() < 1e-4  # mm, float32


@pytest.mark.parametrize(
    "name", ["vertex_indices.json", "generic_neutral_mesh.obj", "identity005.obj", "browInnerUp_R.obj"]
)
def test_a_missing_file_says_where_to_get_it(files: ToyFiles, name: str) -> None:
    (files.folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"ict: no {name} .*git clone https://github.com/ICT-VGL/ICT-FaceKit"):
        read_ict(files.folder, files.layout)


def test_the_correctives_need_no_file(files: ToyFiles) -> None:
    (files.folder / "mouthClose.obj").unlink()
    assert read_ict(files.folder, files.layout)[0].action_names == READ


def test_another_topology_than_the_official_one_is_refused(files: ToyFiles) -> None:
    expected = f"generic_neutral_mesh.obj: expected the 26719 vertices .* got {files.layout.vertex_count}"
    with pytest.raises(ValueError, match=expected):
        read_ict(files.folder)
    assert OFFICIAL.vertex_count == 26_719


@pytest.mark.parametrize("name", ["identity003.obj", "mouthSmile_L.obj"])
def test_a_variant_with_other_vertices_is_named(files: ToyFiles, name: str) -> None:
    lines = (files.folder / name).read_text().splitlines()
    lines.remove(next(line for line in lines if line.startswith("v ")))
    (files.folder / name).write_text("\n".join(lines))
    count = files.layout.vertex_count
    with pytest.raises(ValueError, match=f"{name}: expected {count} vertices .*, got {count - 1}"):
        read_ict(files.folder, files.layout)


@pytest.mark.parametrize("name", ["identity003.obj", "mouthSmile_L.obj"])
def test_a_variant_with_other_faces_is_named(files: ToyFiles, name: str) -> None:
    other = [*files.polygons[:-1], files.polygons[-1][::-1]]
    _write_obj(files.folder / name, files.neutral, other)
    count = len(files.polygons)
    with pytest.raises(ValueError, match=f"{name}: expected the {count} faces .* got {count} faces that differ"):
        read_ict(files.folder, files.layout)


def test_other_texture_coordinates_are_no_other_topology(files: ToyFiles, model: ReadModel) -> None:
    path = files.folder / "identity003.obj"
    path.write_text(path.read_text().replace("/1 ", "/2 "))
    again, _ = read_ict(files.folder, files.layout)
    np.testing.assert_array_equal(again.shape_basis, model.shape_basis)


def test_a_configuration_without_landmarks_is_refused(files: ToyFiles) -> None:
    (files.folder / "vertex_indices.json").write_text(json.dumps({"expressions": ["jawOpen"]}))
    with pytest.raises(
        ValueError, match=r"vertex_indices.json: expected the key 'idx_to_landmark_verts' .* expressions"
    ):
        read_ict(files.folder, files.layout)


@pytest.mark.parametrize(("count", "last"), [(5, 10), (68, 10_000)])
def test_landmarks_of_another_mesh_are_refused(files: ToyFiles, count: int, last: int) -> None:
    _configure(files.folder, [*range(count - 1), last])
    with pytest.raises(ValueError, match=f"expected 68 landmarks among .* got {count}, the highest {last}"):
        read_ict(files.folder, files.layout)


def test_landmarks_outside_the_face_area_are_refused(files: ToyFiles) -> None:
    landmarks = files.arrays.landmark_vertices.tolist()
    _configure(files.folder, [*landmarks[:-1], files.layout.face.stop])
    with pytest.raises(ValueError, match="ict: expected 68 landmarks within the"):
        read_ict(files.folder, files.layout)


def test_files_in_mm_are_refused(files: ToyFiles) -> None:
    _write_obj(files.folder / "generic_neutral_mesh.obj", 10 * files.neutral, files.polygons)
    with pytest.raises(ValueError, match=r"outer corners of the eyes are 9\d\d mm apart"):
        read_ict(files.folder, files.layout)


def _written(folder: Path) -> ToyFiles:
    """The toy face in ICT-FaceKit's layout: face, unused vertices, two eyeballs, unused vertices."""
    arrays = toy_face_arrays()
    face = len(arrays.mean_shape) + len(WALL)
    layout = Layout(
        vertex_count=face + 2 * 6 + 2 * UNUSED,
        face=range(face),
        eyeballs=range(face + UNUSED, face + UNUSED + 12),
        identity_count=len(arrays.shape_basis),
    )
    neutral = _all_vertices(arrays)
    toy = ToyFiles(
        folder=folder,
        layout=layout,
        neutral=neutral,
        identities=neutral + _on_all(arrays.shape_basis, layout.vertex_count),
        expressions=neutral + _on_all(arrays.expression_basis, layout.vertex_count),
        polygons=_polygons(arrays.triangles.tolist(), layout),
        arrays=arrays,
    )
    folder.mkdir()
    _write_obj(folder / "generic_neutral_mesh.obj", toy.neutral, toy.polygons)
    for number, vertices in enumerate(toy.identities):
        _write_obj(folder / f"identity{number:03d}.obj", vertices, toy.polygons)
    for name, vertices in zip(EXPRESSIONS, toy.expressions, strict=True):
        _write_obj(folder / f"{name}.obj", vertices, toy.polygons)
    _configure(folder, arrays.landmark_vertices.tolist())
    return toy


def _all_vertices(arrays: FaceModelArrays) -> NDArray[np.float64]:
    mean = arrays.mean_shape.astype(np.float64)
    mean[LOWER_LIP] -= [0, LIPS_APART_MM, 0]
    unused = np.full((UNUSED, 3), [0, -200, -100.0])
    octahedron = 11.0 * np.concatenate([np.eye(3), -np.eye(3)])
    eyeballs = [
        octahedron + mean[arrays.landmark_vertices[start : start + 6]].mean(axis=0) - [0, 0, 12] for start in (42, 36)
    ]
    return np.concatenate([mean, mean[WALL] - [0, 2, 0], unused, *eyeballs, unused])


def _on_all(fields: NDArray[np.float32], vertex_count: int) -> NDArray[np.float64]:
    result = np.full((len(fields), vertex_count, 3), 0.25)  # mm, of eyeballs and unused vertices
    result[:, : fields.shape[1]] = fields
    result[:, fields.shape[1] : fields.shape[1] + len(WALL)] = fields[:, WALL]
    return result


def _polygons(triangles: list[list[int]], layout: Layout) -> list[list[int]]:
    """The toy's grid as quads, its wall with a hole, and the further parts; one face joins two parts."""
    upper, lower = triangles[:QUADS], triangles[QUADS : 2 * QUADS]
    quads = [[a, b, d, c] for (a, b, _), (c, _, d) in zip(upper, lower, strict=True)]
    walls = triangles[2 * QUADS :]
    to_copy = {vertex: len(layout.face) - len(WALL) + i for i, vertex in enumerate(WALL)}
    lower_wall = [[to_copy.get(corner, corner) for corner in one] for one in walls[len(walls) // 2 :]]
    first = layout.eyeballs.start
    octahedron = [[0, 1, 2], [1, 3, 2], [3, 4, 2], [4, 0, 2], [1, 0, 5], [3, 1, 5], [4, 3, 5], [0, 4, 5]]
    eyeballs = [[first + eye + corner for corner in side] for eye in (0, 6) for side in octahedron]
    unused = layout.face.stop
    return [*quads, *walls[: len(walls) // 2], *lower_wall, [0, 1, unused], *eyeballs, [unused, unused + 1, unused + 2]]


def _write_obj(path: Path, vertices: NDArray[np.float64], polygons: list[list[int]]) -> None:
    """An OBJ file in cm from vertices in mm, with texture coordinates and materials between the faces."""
    lines = ["# toy", "mtllib ICTFaceModelMaterial.mtl"]
    lines += [f"v {x:.9f} {y:.9f} {z:.9f}" for x, y, z in vertices / 10]
    lines += ["vt 0.25 0.75", "vt 0.5 0.5", "usemtl M_Face"]
    lines += ["f " + " ".join(f"{corner + 1}/1" for corner in polygon) for polygon in polygons[:-1]]
    lines += ["usemtl M_Eye", "f " + " ".join(f"{corner + 1}/1" for corner in polygons[-1]), ""]
    path.write_text("\n".join(lines))


def _configure(folder: Path, landmarks: list[int]) -> None:
    content = {"expressions": EXPRESSIONS, "incompatibilities": [], "idx_to_landmark_verts": landmarks}
    (folder / "vertex_indices.json").write_text(json.dumps(content))


def _sides(polygon: list[int]) -> list[tuple[int, int]]:
    return list(zip(polygon, [*polygon[1:], polygon[0]], strict=True))


def _area(vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> NDArray[np.float64]:
    """The sum of the area vectors in mm², which for a patch depends on its rim only."""
    a, b, c = (vertices[triangles[:, corner]].astype(np.float64) for corner in range(3))
    return np.asarray(0.5 * np.cross(b - a, c - a).sum(axis=0))
