"""Readers of the real layouts, twins that are written in them, and the common form that both end in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from models.face_model import FaceModel
from models.icp import IcpSettings, Similarity
from models.protocols import PROTOCOLS
from models.shape_error import MarkedScan, shape_error
from models.surface import surface_from_mesh
from pipelines.benchmarks import build
from pipelines.benchmarks.build import BenchmarkInputs, build_benchmark
from pipelines.benchmarks.common import read_samples
from pipelines.benchmarks.people import Crowd, refined
from pipelines.benchmarks.raw import evenly_chosen
from pipelines.benchmarks.read_aflw2000 import read_aflw2000, read_landmarks
from pipelines.benchmarks.read_facescape import Sizes, read_facescape
from pipelines.benchmarks.read_micc import read_micc
from pipelines.benchmarks.scans import Scan, read_mesh, scanned, write_mesh
from pipelines.benchmarks.studio import TwinPlan
from pipelines.benchmarks.twin_aflw2000 import write_aflw2000_twin
from pipelines.benchmarks.twin_facescape import Frame, camera_entries, write_facescape_twin
from pipelines.benchmarks.twin_micc import write_micc_twin
from pipelines.face_model_file import save_face_model
from pipelines.params import BenchmarksParams, TwinParams
from pipelines.shards import read_rows, write_rows
from pipelines.synthetic.photograph import project
from pipelines.synthetic.view import NOTHING_WORN, draw_view
from tests.label_tree import smoke_params, write_aligned
from tests.toy import toy_face_arrays

SIZES = Sizes(subjects=2, views=2, ablation_subjects=1, ablation_expressions=2)
TWIN = TwinParams(detail_mm=0.6, scan_noise_mm=0.15, hole_fraction=0.03, size=128)
SQUARE = (np.array([[0, 0, 0], [90, 0, 0], [90, 90, 0], [0, 90, 5.0]]), np.array([[0, 1, 2], [0, 2, 3]]))


def write_picture(path: Path, colour: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (colour, colour, colour)).save(path)


# --- readers of the real layouts ---


def write_micc(folder: Path) -> None:
    write_mesh(folder / "subject_01/Model/frontal1/obj/110920150452.obj", *SQUARE)
    write_mesh(folder / "subject_01/Model/frontal2/obj/110920150505.obj", *SQUARE)
    write_picture(folder / "subject_02/PTZ-Indoor/a.jpg")  # a subject without a scan
    for number in range(5):
        write_picture(folder / f"subject_01/Indoor-Cooperative/{number}.jpg")
    write_picture(folder / "subject_01/PTZ-Outdoor/deeper/0.jpg")


def test_micc_gives_a_sample_for_each_clip_with_frames_and_scan(tmp_path: Path) -> None:
    write_micc(tmp_path)
    points = np.arange(68 * 3).reshape(68, 3)
    marked = {"groups": {"LJSON": {"landmarks": {"points": points.tolist()}}}}
    (tmp_path / "subject_01/Model/frontal1/obj/110920150452.ljson").write_text(json.dumps(marked))
    samples = read_micc(tmp_path, frames_per_clip=3)
    assert [sample.name for sample in samples] == ["subject_01-cooperative", "subject_01-outdoor"]
    assert [photo.path.name for photo in samples[0].photographs] == ["0.jpg", "2.jpg", "4.jpg"]
    assert samples[0].read_scan is not None
    scan = samples[0].read_scan()
    assert scan.vertices.shape == (4, 3) and scan.landmarks is not None
    assert [read_scan().landmarks for read_scan in samples[0].read_further_scans] == [None]  # frontal2
    np.testing.assert_array_equal(scan.landmarks, points)


def test_micc_landmarks_must_be_68(tmp_path: Path) -> None:
    write_micc(tmp_path)
    path = tmp_path / "subject_01/Model/frontal1/obj/110920150452.ljson"
    for content, message in (
        ("{}", "menpo"),
        ('{"groups": {"LJSON": {"landmarks": {"points": [[1, 2]]}}}}', "68 points"),
    ):
        path.write_text(content)
        read_scan = read_micc(tmp_path, frames_per_clip=3)[0].read_scan
        assert read_scan is not None
        with pytest.raises(ValueError, match=message):
            read_scan()


def write_facescape(folder: Path) -> None:
    lines = []
    frames: dict[str, Any] = {}
    for subject, gender in enumerate("mmmff", start=1):
        lines.append(f"{subject} {gender} 30 1 1111")
        frames[str(subject)] = {
            str(k): [100.0, [[1.0, 0, 0, 5.0], [0, 1.0, 0, 0], [0, 0, 1.0, 0]]] for k in range(1, 21)
        }
        for stem in ("1_neutral", "2_smile", "3_mouth_stretch", "16_grin"):
            write_mesh(folder / f"meshes/{subject}/{stem}.ply", SQUARE[0] / 100, SQUARE[1])
            pictures = folder / f"imgs/{subject}/{stem}"
            for view in (0, 1, 2, 10):
                write_picture(pictures / f"{view}.jpg")
            (pictures / "params.json").write_text(json.dumps({"0_valid": True, "1_valid": False, "2_valid": True}))
    (folder / "info_list_v2.txt").write_text("\n".join(lines))
    (folder / "Rt_scale_dict.json").write_text(json.dumps(frames))


def test_facescape_draws_as_many_women_as_men_and_marks_the_ablation(tmp_path: Path) -> None:
    write_facescape(tmp_path)
    samples = read_facescape(tmp_path, sizes=Sizes(4, 2, 2, 2), seed=0)
    subjects = list(dict.fromkeys(sample.subject for sample in samples))
    assert len(subjects) == 4 and {"4", "5"} <= set(subjects)
    assert {(s.condition, s.comparison, s.ablation) for s in samples if s.subject == subjects[0]} == {
        ("neutral", True, True),
        ("smile", False, True),
        ("mouth_stretch", True, False),
        ("grin", True, False),
    }
    assert {s.condition for s in samples if s.subject == subjects[3]} == {"neutral", "mouth_stretch", "grin"}
    assert [photo.path.name for photo in samples[0].photographs] == ["0.jpg", "2.jpg"]  # view 1 is not valid


def test_facescape_meshes_come_to_millimetres_by_their_entry(tmp_path: Path) -> None:
    write_facescape(tmp_path)
    read_scan = read_facescape(tmp_path, sizes=SIZES, seed=0)[0].read_scan
    assert read_scan is not None
    np.testing.assert_allclose(read_scan().vertices, SQUARE[0] + [5, 0, 0], atol=1e-4)
    (tmp_path / "Rt_scale_dict.json").write_text("{}")
    read_scan = read_facescape(tmp_path, sizes=SIZES, seed=0)[0].read_scan
    assert read_scan is not None
    with pytest.raises(ValueError, match="no scale for subject"):
        read_scan()


def test_aflw2000_counts_pixels_from_the_corner(tmp_path: Path) -> None:
    write_picture(tmp_path / "image00002.jpg")
    write_picture(tmp_path / "image00004.jpg")  # without a .mat file
    points = np.ones((3, 68))  # the centre of the first pixel in MATLAB
    savemat(tmp_path / "image00002.mat", {"pt3d_68": points})
    (sample,) = read_aflw2000(tmp_path)
    assert sample.photographs[0].landmarks is not None
    np.testing.assert_array_equal(sample.photographs[0].landmarks, np.full((68, 2), 0.5))


@pytest.mark.parametrize("fields", [{"pt2d": np.ones((2, 21))}, {"pt3d_68": np.ones((2, 21))}])
def test_aflw2000_files_without_68_points_are_named(tmp_path: Path, fields: dict[str, Any]) -> None:
    savemat(tmp_path / "image00002.mat", fields)
    with pytest.raises(ValueError, match=r"image00002\.mat.*pt3d_68"):
        read_landmarks(tmp_path / "image00002.mat")


@pytest.mark.parametrize(
    ("read", "where"),
    [
        (lambda folder: read_micc(folder, frames_per_clip=2), "Florence"),
        (lambda folder: read_facescape(folder, sizes=SIZES, seed=0), "facescape.nju.edu.cn"),
        (read_aflw2000, "3DDFA project page"),
    ],
)
def test_a_missing_data_set_says_how_to_obtain_it(tmp_path: Path, read: Callable[[Path], object], where: str) -> None:
    with pytest.raises(FileNotFoundError, match=where):
        read(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="expected the layout"):
        read(tmp_path)


def test_frames_are_spread_over_the_clip() -> None:
    paths = [Path(str(number)) for number in range(11)]
    assert evenly_chosen(paths, 3) == [Path("0"), Path("5"), Path("10")]
    assert evenly_chosen(paths[:2], 3) == paths[:2]


# --- people and scans outside the face model's span ---


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    return Crowd(FaceModel(toy_face_arrays()), detail_mm=0.6)


def test_refining_splits_every_triangle_in_four_at_shared_edges() -> None:
    parents, triangles = refined(np.array([[0, 1, 2], [1, 3, 2]]), 4)
    assert len(triangles) == 8 and len(parents) == 4 + 5
    np.testing.assert_array_equal(parents[:4], [[0, 0], [1, 1], [2, 2], [3, 3]])
    corners = np.array([[0, 0.0], [1, 0], [0, 1], [1, 1]])[parents].mean(axis=1)[triangles]
    (a, b), (c, d) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    np.testing.assert_allclose((a * d - b * c) / 2, 0.125)  # same orientation, a quarter each


def test_ground_truth_lies_outside_the_span_on_another_mesh(crowd: Crowd) -> None:
    scan, error = own_coefficients_against_scan(crowd)
    assert len(scan.vertices) not in (len(crowd.parents), len(crowd.arrays.mean_shape))
    _, without_detail = own_coefficients_against_scan(Crowd(crowd.model, detail_mm=0.0))
    assert error > without_detail + 0.15  # mm: not even the person's own coefficients explain the scan
    assert error < 2.0


def own_coefficients_against_scan(crowd: Crowd) -> tuple[Scan, float]:
    """A scan of a person, and the shape error in mm of the true coefficients."""
    person, arrays = crowd.person(np.random.default_rng(0)), crowd.arrays
    vertices = crowd.vertices(person, {})
    inside = arrays.mean_shape + np.tensordot(person.shape, arrays.shape_basis, 1)
    scan = scanned(vertices, crowd.visible_triangles, noise_mm=0.15, hole_fraction=0.03, rng=np.random.default_rng(1))
    result = shape_error(
        surface_from_mesh(inside.astype(np.float64), arrays.triangles),
        MarkedScan(surface_from_mesh(scan.vertices, scan.triangles), vertices[arrays.landmark_vertices[30]]),
        scan_from_mesh=Similarity(1.0, np.eye(3), np.zeros(3)),
        protocol=PROTOCOLS["paper"],
        icp=IcpSettings(20, 0.95),
    )
    return scan, result.value_mm


def test_without_detail_noise_and_holes_the_scan_is_the_surface() -> None:
    plain = Crowd(FaceModel(toy_face_arrays()), detail_mm=0.0)
    person = plain.person(np.random.default_rng(0))
    assert not person.displacement_mm.any()
    vertices = plain.vertices(person, {})
    scan = scanned(vertices, plain.visible_triangles, noise_mm=0.0, hole_fraction=0.0, rng=np.random.default_rng(1))
    nearest = np.linalg.norm(scan.vertices[:, None] - vertices, axis=-1).min(axis=1)
    assert nearest.max() < 2.0  # within a cell


def test_holes_take_about_their_fraction(crowd: Crowd) -> None:
    vertices = crowd.vertices(crowd.person(np.random.default_rng(0)), {})
    whole, holed = (
        len(
            scanned(
                vertices,
                crowd.visible_triangles,
                noise_mm=0.0,
                hole_fraction=fraction,
                rng=np.random.default_rng(1),
            ).vertices
        )
        for fraction in (0.0, 0.2)
    )
    assert 0.6 < holed / whole < 0.85


def test_unknown_actions_have_no_effect_and_known_ones_move_the_mouth(crowd: Crowd) -> None:
    person = crowd.person(np.random.default_rng(0))
    neutral = crowd.vertices(person, {})
    np.testing.assert_array_equal(crowd.vertices(person, {"noSuchAction": 1.0}), neutral)
    assert np.abs(crowd.vertices(person, {"jawOpen": 1.0}) - neutral).max() > 5.0


def test_a_file_without_triangles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\n")
    with pytest.raises(ValueError, match=r"a\.obj"):
        read_mesh(tmp_path / "a.obj")


# --- twins ---


@pytest.fixture(scope="module")
def face_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("face") / "face_model.h5"
    save_face_model(path, toy_face_arrays())
    return path


def plan(face_model: Path, folder: Path) -> TwinPlan:
    folder.mkdir(parents=True, exist_ok=True)
    return TwinPlan(face_model, folder, 8, 1000.0, TWIN)


def write_twins(face_model: Path, folder: Path) -> None:
    write_micc_twin(plan(face_model, folder / "micc"), subjects=1, frames=1, workers=1)
    write_facescape_twin(plan(face_model, folder / "facescape"), sizes=SIZES, workers=1)
    write_aflw2000_twin(plan(face_model, folder / "aflw2000"), photographs=2, workers=1)


@pytest.fixture(scope="module")
def twins(face_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twins")
    write_twins(face_model, folder)
    return folder


def test_twins_are_read_by_the_readers_of_the_real_data_sets(twins: Path) -> None:
    micc = read_micc(twins / "micc", frames_per_clip=5)
    assert [sample.condition for sample in micc] == ["cooperative", "indoor", "outdoor"]
    (second,) = (read_scan() for read_scan in micc[0].read_further_scans)
    first = micc[0].read_scan() if micc[0].read_scan else None
    assert first is not None and first.landmarks is not None and second.landmarks is not None
    eyes = [
        np.linalg.norm(scan.landmarks[36] - scan.landmarks[45])
        for scan in (first, second)
        if scan.landmarks is not None
    ]
    assert eyes[0] == pytest.approx(eyes[1], abs=6.0)  # one person, marked by hand
    assert np.linalg.norm(first.landmarks[30] - second.landmarks[30]) > 1.0  # at another place
    facescape = read_facescape(twins / "facescape", sizes=SIZES, seed=8)
    assert len(facescape) == 3 + 4 and sum(sample.ablation for sample in facescape) == 2
    assert all(len(sample.photographs) == 2 for sample in facescape)
    aflw2000 = read_aflw2000(twins / "aflw2000")
    landmarks = aflw2000[0].photographs[0].landmarks
    assert len(aflw2000) == 2 and landmarks is not None
    assert landmarks.min() > 0 and landmarks.max() < TWIN.size
    for sample in (*micc, *facescape):
        assert sample.read_scan is not None
        scan = sample.read_scan()
        assert scan.landmarks is not None  # marked points lie on the scan, in the same frame and unit
        nearest = np.linalg.norm(scan.landmarks[:, None] - scan.vertices, axis=-1).min(axis=1)
        assert np.median(nearest) < 4.0


def test_twins_are_the_same_to_the_byte_when_made_again(face_model: Path, twins: Path, tmp_path: Path) -> None:
    write_twins(face_model, tmp_path)
    files = sorted(path.relative_to(twins) for path in twins.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    different = [path for path in files if (twins / path).read_bytes() != (tmp_path / path).read_bytes()]
    assert different == []


def test_aflw2000_twins_carry_pose_and_landmarks_as_the_data_set_does(twins: Path) -> None:
    fields = loadmat(twins / "aflw2000/image00002.mat")
    assert fields["pt3d_68"].shape == (3, 68) and fields["Pose_Para"].shape == (1, 7) and fields["roi"].shape == (1, 4)
    assert np.abs(fields["Pose_Para"][0, 1]) <= np.radians(60)


def test_facescape_cameras_project_as_the_photographs_were_taken() -> None:
    rng = np.random.default_rng(0)
    view = draw_view(rng, 1000.0, chances=NOTHING_WORN)
    angle = 0.7
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    frame = Frame(120.0, rotation, np.array([10.0, -20.0, 30.0]))
    points = rng.normal(scale=40, size=(10, 3)).astype(np.float32)  # TU frame, mm
    entries = camera_entries(3, view, frame, 256)
    world = (points - frame.translation) @ frame.rotation / frame.scale
    rt, intrinsics = np.array(entries["3_Rt"]), np.array(entries["3_K"])
    seen = (world @ rt[:, :3].T + rt[:, 3]) @ intrinsics.T
    pixels, _ = project(points, view, 256)
    np.testing.assert_allclose(seen[:, :2] / seen[:, 2:] + 0.5, pixels, atol=0.01)


# --- the common form ---


@pytest.fixture
def inputs(face_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BenchmarkInputs:
    """Real steps except MTCNN and the landmark network, which do not see toy faces."""
    params = smoke_params()

    def align(photographs: Path, output: Path, **_: Any) -> None:
        rows = read_rows(photographs)
        kept = rows[rows["status"] == "kept"]
        half = [[0.5, 0.0, 3.0, 0.0, 0.5, 4.0]] * len(kept)
        picture = np.zeros((8, 8, 3), np.uint8)
        write_aligned(output, dict.fromkeys(kept["key"], picture), crop_from_photograph=half)

    def label(aligned: Path, weights: Path, output: Path, **_: Any) -> None:
        write_rows(output, read_rows(aligned)[["key"]])

    monkeypatch.setattr(build, "align_photographs", align)
    monkeypatch.setattr(build, "label_landmarks", label)
    changes = {"facescape_subjects": 2, "workers": 1, "twin": TWIN, "aflw2000_photographs": 2}
    return BenchmarkInputs(
        face_model=face_model,
        landmark_weights=tmp_path / "weights",
        memo=tmp_path / "memo",
        params=params.benchmarks.model_copy(update=changes),
        camera=params.camera,
        align=params.align,
        landmarks=params.landmarks,
    )


def real(inputs: BenchmarkInputs, **folders: Path) -> BenchmarkInputs:
    params: BenchmarksParams = inputs.params.model_copy(update={name: str(path) for name, path in folders.items()})
    return inputs._replace(params=params)


def test_a_twin_ends_in_the_common_form(inputs: BenchmarkInputs, tmp_path: Path) -> None:
    build_benchmark("aflw2000", inputs, tmp_path / "aflw2000")
    rows = read_rows(tmp_path / "aflw2000/photographs")
    assert rows["synthetic"].all() and (rows["status"] == "kept").all() and rows["width"].tolist() == [128, 128]
    samples = read_samples(tmp_path / "aflw2000")
    assert [sample.keys for sample in samples] == [("image00002",), ("image00003",)]
    assert all(np.isfinite(sample.skin_tone_ita) for sample in samples)
    true = read_landmarks(tmp_path / "aflw2000/raw/image00002.mat")
    found = np.array(samples[0].landmarks).reshape(68, 2)
    np.testing.assert_allclose(found, true * 0.5 + [3, 4], atol=1e-4)


def test_a_real_data_set_takes_the_same_way(inputs: BenchmarkInputs, tmp_path: Path) -> None:
    write_micc(tmp_path / "real")
    (tmp_path / "real/subject_01/Indoor-Cooperative/0.jpg").write_bytes(b"not a picture")
    build_benchmark("micc", real(inputs, micc=tmp_path / "real"), tmp_path / "micc")
    rows = read_rows(tmp_path / "micc/photographs").set_index("key")
    assert rows.loc["subject_01-cooperative-000", "status"] == "rejected"
    assert "not a readable picture" in rows.loc["subject_01-cooperative-000", "reason"]
    assert not rows["synthetic"].any()
    samples = {sample.sample: sample for sample in read_samples(tmp_path / "micc")}
    assert samples["subject_01-cooperative"].keys == ("subject_01-cooperative-001",)
    scan = read_mesh(tmp_path / "micc" / samples["subject_01-outdoor"].scan)
    np.testing.assert_allclose(scan.vertices, SQUARE[0], atol=1e-4)
    names = sorted(path.name for path in (tmp_path / "micc/scans").iterdir())
    assert names == ["subject_01-further1.ply", "subject_01.ply"]
    assert np.isnan(samples["subject_01-outdoor"].skin_tone_ita)
    assert not (tmp_path / "micc/raw").exists()


def test_large_pictures_shrink_and_their_landmarks_with_them(inputs: BenchmarkInputs, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    Image.new("RGB", (2048, 1024)).save(tmp_path / "real/image00002.jpg")
    savemat(tmp_path / "real/image00002.mat", {"pt3d_68": np.full((3, 68), 200.5)})
    build_benchmark("aflw2000", real(inputs, aflw2000=tmp_path / "real"), tmp_path / "out")
    rows = read_rows(tmp_path / "out/photographs")
    assert rows[["width", "height"]].to_numpy().tolist() == [[1024, 512]]
    (sample,) = read_samples(tmp_path / "out")
    np.testing.assert_allclose(np.array(sample.landmarks).reshape(68, 2), [[100 * 0.5 + 3, 100 * 0.5 + 4]] * 68)


def test_a_scan_in_metres_is_refused(inputs: BenchmarkInputs, tmp_path: Path) -> None:
    write_micc(tmp_path / "real")
    points = np.random.default_rng(0).normal(scale=0.04, size=(68, 3)).tolist()
    marked = {"groups": {"LJSON": {"landmarks": {"points": points}}}}
    (tmp_path / "real/subject_01/Model/frontal1/obj/110920150452.ljson").write_text(json.dumps(marked))
    with pytest.raises(ValueError, match="is it not in mm"):
        build_benchmark("micc", real(inputs, micc=tmp_path / "real"), tmp_path / "micc")


def test_a_missing_folder_leaves_what_was_built_alone(inputs: BenchmarkInputs, tmp_path: Path) -> None:
    (tmp_path / "micc").mkdir()
    (tmp_path / "micc/kept").touch()
    with pytest.raises(FileNotFoundError, match=r"benchmarks\.micc"):
        build_benchmark("micc", real(inputs, micc=tmp_path / "nowhere"), tmp_path / "micc")
    assert (tmp_path / "micc/kept").exists()


def test_an_unknown_benchmark_is_named(inputs: BenchmarkInputs, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one of micc, facescape, aflw2000, got 'now'"):
        build_benchmark("now", inputs, tmp_path)


def test_a_benchmark_that_was_not_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the stage benchmark"):
        read_samples(tmp_path)


def test_all_photographs_of_a_sample_may_be_rejected(inputs: BenchmarkInputs, tmp_path: Path) -> None:
    write_micc(tmp_path / "real")
    (tmp_path / "real/subject_01/PTZ-Outdoor/deeper/0.jpg").write_bytes(b"")
    build_benchmark("micc", real(inputs, micc=tmp_path / "real"), tmp_path / "micc")
    samples = {sample.sample: sample for sample in read_samples(tmp_path / "micc")}
    assert samples["subject_01-outdoor"].keys == ()
