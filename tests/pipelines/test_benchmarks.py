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
from pipelines.benchmarks.common import read_omitted, read_samples, write_omitted
from pipelines.benchmarks.people import Crowd, refined
from pipelines.benchmarks.raw import RawSample, evenly_chosen
from pipelines.benchmarks.read_aflw2000 import REANNOTATED, read_aflw2000, read_annotation
from pipelines.benchmarks.read_facescape import Sizes, read_facescape
from pipelines.benchmarks.read_micc import read_micc
from pipelines.benchmarks.scans import FURTHER, Scan, read_mesh, scanned, write_mesh
from pipelines.benchmarks.studio import Studio, TwinPlan
from pipelines.benchmarks.twin_aflw2000 import write_aflw2000_twin
from pipelines.benchmarks.twin_facescape import Frame, camera_entries, write_facescape_twin
from pipelines.benchmarks.twin_micc import SETTINGS, write_micc_twin
from pipelines.face_model_file import load_face_model, save_face_model
from pipelines.params import BenchmarksParams, TwinParams
from pipelines.shards import read_rows, write_rows
from pipelines.synthetic.photograph import project
from pipelines.synthetic.view import NOTHING_WORN, View, draw_view
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
    write_mesh(folder / "subject_01/Model/frontal2/obj/110920150505.obj", SQUARE[0] + [0, 0, 1], SQUARE[1])
    write_picture(folder / "subject_02/PTZ-Indoor/a.jpg")  # a subject without a scan
    for number in range(5):
        write_picture(folder / f"subject_01/Indoor-Cooperative/{number}.jpg")
    write_picture(folder / "subject_01/PTZ-Outdoor/deeper/0.jpg")


def test_micc_gives_a_sample_for_each_clip_with_frames_and_scan(tmp_path: Path) -> None:
    write_micc(tmp_path)
    points = np.arange(68 * 3).reshape(68, 3)
    marked = {"groups": {"LJSON": {"landmarks": {"points": points.tolist()}}}}
    (tmp_path / "subject_01/Model/frontal1/obj/110920150452.ljson").write_text(json.dumps(marked))
    samples = read_micc(tmp_path, frames_per_clip=3).samples
    assert [sample.name for sample in samples] == ["subject_01-cooperative", "subject_01-outdoor"]
    assert [photo.path.name for photo in samples[0].photographs] == ["0.jpg", "2.jpg", "4.jpg"]
    assert samples[0].read_scan is not None
    scan = samples[0].read_scan()
    assert scan.vertices.shape == (4, 3) and scan.landmarks is not None
    assert [read_scan().landmarks for read_scan in samples[0].read_further_scans] == [None]  # frontal2
    np.testing.assert_array_equal(scan.landmarks, points)


def test_micc_keeps_the_second_scan_at_hand(tmp_path: Path) -> None:
    write_micc(tmp_path)
    write_mesh(tmp_path / "subject_30/Model/frontal1/obj/1.obj", *SQUARE)  # without frontal2, as in the data set
    write_picture(tmp_path / "subject_30/PTZ-Indoor/0.jpg")
    first, _, thirtieth = read_micc(tmp_path, frames_per_clip=3).samples
    assert not thirtieth.read_further_scans
    (further,) = first.read_further_scans
    assert first.read_scan is not None
    np.testing.assert_array_equal(further().vertices, first.read_scan().vertices + np.array([0, 0, 1]))


def test_micc_names_what_it_has_not(tmp_path: Path) -> None:
    write_micc(tmp_path)
    write_picture(tmp_path / "subject_04/PTZ-Indoor/a.jpg")
    (tmp_path / "subject_01/Videos/PTZ-Indoor").mkdir(parents=True)
    (tmp_path / "subject_01/Videos/PTZ-Indoor/video.mov").touch()
    omitted = {one.what: one.reason for one in read_micc(tmp_path, frames_per_clip=3).omitted}
    assert list(omitted) == ["subject_03", "subject_01-indoor", "subject_02", "subject_04"]
    assert omitted["subject_03"] == "no folder" and "no scan" in omitted["subject_02"]
    assert "video.mov is a video without frames" in omitted["subject_01-indoor"]
    assert "ffmpeg -i subject_01/Videos/PTZ-Indoor/video.mov" in omitted["subject_01-indoor"]
    (tmp_path / "subject_01/Videos/PTZ-Indoor/video.mov").unlink()
    omitted = {one.what: one.reason for one in read_micc(tmp_path, frames_per_clip=3).omitted}
    assert omitted["subject_01-indoor"] == "neither frames PTZ-Indoor/*.jpg nor a video of PTZ-Indoor"


def names(sample: RawSample) -> list[str]:
    return [photo.path.name for photo in sample.photographs]


def test_micc_takes_the_frames_that_a_person_chose(tmp_path: Path) -> None:
    write_micc(tmp_path)
    cases = [{"frame": f"./cases/subject_{number}/frame{number}.jpg"} for number in (1, 2)]
    (tmp_path / "annotations.json").write_text(json.dumps({"cases": cases}))
    cooperative, outdoor = read_micc(tmp_path, frames_per_clip=3).samples
    assert names(cooperative) == ["1.jpg"] and names(outdoor) == ["0.jpg"]
    listed = ["subject_01/Indoor-Cooperative/3.jpg", "subject_01/Indoor-Cooperative/0.jpg"]
    (tmp_path / "frames.txt").write_text("\n".join(listed) + "\n\n")
    assert names(read_micc(tmp_path, frames_per_clip=1).samples[0]) == ["3.jpg", "0.jpg"]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("frames.txt", "subject_01/Indoor-Cooperative/9.jpg", FileNotFoundError, "1 frames are not there"),
        ("annotations.json", '{"cases": [{"frame": "a/subject_1/frame9.jpg"}]}', FileNotFoundError, "no frame 9"),
        ("annotations.json", '{"cases": [{}]}', ValueError, "expected cases with frames"),
    ],
)
def test_wrong_choices_of_frames_are_named(
    tmp_path: Path, name: str, content: str, error: type[Exception], message: str
) -> None:
    write_micc(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(error, match=rf"{name}.*{message}"):
        read_micc(tmp_path, frames_per_clip=3)


def test_micc_landmarks_must_be_68(tmp_path: Path) -> None:
    write_micc(tmp_path)
    path = tmp_path / "subject_01/Model/frontal1/obj/110920150452.ljson"
    for content, message in (
        ("{}", "menpo"),
        ('{"groups": {"LJSON": {"landmarks": {"points": [[1, 2]]}}}}', "68 points"),
        (json.dumps({"groups": {"LJSON": {"landmarks": {"points": [[1, 2, 3]] * 67 + [[None] * 3]}}}}), r"\[67\]"),
    ):
        path.write_text(content)
        read_scan = read_micc(tmp_path, frames_per_clip=3).samples[0].read_scan
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
    samples = read_facescape(tmp_path, sizes=Sizes(4, 2, 2, 2), seed=0).samples
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
    read_scan = read_facescape(tmp_path, sizes=SIZES, seed=0).samples[0].read_scan
    assert read_scan is not None
    np.testing.assert_allclose(read_scan().vertices, SQUARE[0] + [5, 0, 0], atol=1e-4)


def test_facescape_entries_that_are_no_scale_and_rt_are_named(tmp_path: Path) -> None:
    write_facescape(tmp_path)
    frames = {str(subject): {str(k): [100.0, [[1.0, 0]]] for k in range(1, 21)} for subject in range(1, 6)}
    (tmp_path / "Rt_scale_dict.json").write_text(json.dumps(frames))
    read_scan = read_facescape(tmp_path, sizes=SIZES, seed=0).samples[0].read_scan
    assert read_scan is not None
    with pytest.raises(ValueError, match=r"Rt_scale_dict\.json, subject \d, expression 1_neutral: expected .*3×4"):
        read_scan()


def test_facescape_names_what_it_has_not(tmp_path: Path) -> None:
    write_facescape(tmp_path)
    frames = json.loads((tmp_path / "Rt_scale_dict.json").read_text())
    del frames["1"]["1"]
    (tmp_path / "Rt_scale_dict.json").write_text(json.dumps(frames))
    (tmp_path / "meshes/2/16_grin.ply").unlink()
    (tmp_path / "imgs/3/3_mouth_stretch/params.json").write_text(json.dumps({f"{k}_valid": False for k in range(11)}))
    reading = read_facescape(tmp_path, sizes=Sizes(7, 2, 2, 1), seed=0)
    assert {(one.what, one.reason) for one in reading.omitted} == {
        ("2 subjects", "5 of 7 have a folder in imgs/ and in meshes/"),
        ("001-1_neutral", "no scale and Rt in Rt_scale_dict.json, so no millimetres"),
        ("002-16_grin", "no mesh meshes/2/16_grin.ply"),
        ("003-3_mouth_stretch", "no valid view imgs/3/3_mouth_stretch/<view>.jpg"),
    }
    assert len(reading.samples) == 5 * 3 - 3
    (tmp_path / "Rt_scale_dict.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"found no sample \(16 left out: .*; …\); expected the layout"):
        read_facescape(tmp_path, sizes=Sizes(7, 2, 2, 1), seed=0)


def test_facescape_landmark_indices_of_another_topology_are_named(tmp_path: Path) -> None:
    write_facescape(tmp_path)
    for subject in range(1, 6):
        write_mesh(tmp_path / f"tu/{subject}/models_reg/1_neutral.obj", *SQUARE)
    for indices in ({"v10": np.arange(68)}, {"v10": np.zeros(7)}, {"v16": np.zeros(68)}):
        np.savez(tmp_path / "landmark_indices.npz", **indices)
        read_scan = read_facescape(tmp_path, sizes=SIZES, seed=0).samples[0].read_scan
        assert read_scan is not None
        with pytest.raises(ValueError, match=r"landmark_indices\.npz: expected 68 vertices of .* under 'v10'"):
            read_scan()


def test_aflw2000_counts_pixels_from_the_corner(tmp_path: Path) -> None:
    write_picture(tmp_path / "image00002.jpg")
    points = np.ones((3, 68))  # the centre of the first pixel in MATLAB
    savemat(tmp_path / "image00002.mat", {"pt3d_68": points})
    (sample,) = read_aflw2000(tmp_path, annotation="original").samples
    assert sample.photographs[0].landmarks is not None
    np.testing.assert_array_equal(sample.photographs[0].landmarks, np.full((68, 2), 0.5))


def write_aflw2000(folder: Path, count: int = 3) -> list[np.ndarray]:
    """Pictures with landmarks in MATLAB's pixels; returns these, (3, 68) each."""
    rng = np.random.default_rng(0)
    points = [rng.uniform(5, 25, (3, 68)) for _ in range(count)]
    for number, one in enumerate(points):
        path = folder / f"image{2 * number + 2:05d}.jpg"
        write_picture(path)
        savemat(path.with_suffix(".mat"), {"pt3d_68": one, "roi": np.ones((1, 4)), "Pose_Para": np.ones((1, 7))})
    return points


def test_aflw2000_names_pictures_and_annotations_that_stand_alone(tmp_path: Path) -> None:
    write_aflw2000(tmp_path)
    (tmp_path / "image00002.mat").unlink()
    (tmp_path / "image00004.jpg").unlink()
    reading = read_aflw2000(tmp_path, annotation="original")
    assert [sample.name for sample in reading.samples] == ["image00006"]
    assert [(one.what, one.reason) for one in reading.omitted] == [
        ("image00002", "no .mat file"),
        ("image00004", "no picture"),
    ]


def test_the_second_annotation_counts_from_zero_in_the_order_of_the_files(tmp_path: Path) -> None:
    points = write_aflw2000(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"Reannotated\.pts68\.npy: missing.*cleardusk/3DDFA"):
        read_aflw2000(tmp_path, annotation="reannotated")
    second = np.stack([one[:2] - 1 for one in points]).astype(np.float32)
    np.save(tmp_path / REANNOTATED, second + 0.25)
    first = read_aflw2000(tmp_path, annotation="original").samples
    for one, other in zip(first, read_aflw2000(tmp_path, annotation="reannotated").samples, strict=True):
        original, again = one.photographs[0].landmarks, other.photographs[0].landmarks
        assert original is not None and again is not None
        np.testing.assert_allclose(again, original + 0.25, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda points: points[::-1], "in the order of the file names"),
        (lambda points: points[:2], "so no picture may be missing"),
        (lambda points: np.where(points > 20, np.nan, points), "expected finite numbers"),
    ],
)
def test_a_second_annotation_of_other_pictures_is_refused(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    points = write_aflw2000(tmp_path)
    np.save(tmp_path / REANNOTATED, change(np.stack([one[:2] for one in points])))
    with pytest.raises(ValueError, match=message):
        read_aflw2000(tmp_path, annotation="reannotated")


POINTS = np.ones((3, 68))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pt2d": np.ones((2, 21))}, "no pt3d_68"),
        ({"pt3d_68": np.ones((2, 21))}, r"expected pt3d_68 of shape \(3, 68\)"),
        ({"pt3d_68": POINTS * np.nan}, "not finite"),
        ({"pt3d_68": POINTS, "roi": np.ones((1, 3))}, r"expected roi of shape \(1, 4\)"),
        ({"pt3d_68": POINTS, "Pose_Para": np.ones((1, 6))}, r"expected Pose_Para of shape \(1, 7\)"),
        ({"pt3d_68": POINTS, "Pose_Para": np.zeros((1, 7))}, "expected a positive scale"),
    ],
)
def test_aflw2000_files_with_other_fields_are_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    savemat(tmp_path / "image00002.mat", fields)
    with pytest.raises(ValueError, match=rf"image00002\.mat.*{message}"):
        read_annotation(tmp_path / "image00002.mat")


def test_an_aflw2000_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    savemat(tmp_path / "whole.mat", {"pt3d_68": POINTS})
    for size in (0, 60, 300):
        (tmp_path / "cut.mat").write_bytes((tmp_path / "whole.mat").read_bytes()[:size])
        with pytest.raises(ValueError, match=r"cut\.mat: no"):
            read_annotation(tmp_path / "cut.mat")


@pytest.mark.parametrize(
    ("read", "where"),
    [
        (lambda folder: read_micc(folder, frames_per_clip=2), "Florence"),
        (lambda folder: read_facescape(folder, sizes=SIZES, seed=0), "facescape.nju.edu.cn"),
        (lambda folder: read_aflw2000(folder, annotation="original"), "3DDFA project page"),
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


PLY = (
    "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nelement face 1\n"
    "property list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 {}\n"
)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.obj", "", "no triangle"),
        ("a.obj", "v 0 0 0\nv 1 0 0\n", "no triangle"),
        ("a.obj", "v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "1 of 3 vertices are not finite"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nf 1 2 9\n", "not a readable mesh"),
        ("a.ply", "", "not a readable mesh"),
        ("a.ply", PLY[:60], "not a readable mesh"),
        ("a.ply", PLY.format(7), "a triangle names vertex 7 of 3"),
    ],
)
def test_a_broken_mesh_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=rf"{name}.*{message}"):
        read_mesh(tmp_path / name)


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
    micc, nothing = read_micc(twins / "micc", frames_per_clip=5)
    assert [sample.condition for sample in micc] == ["cooperative", "indoor", "outdoor"]
    assert nothing == []
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
    facescape, nothing = read_facescape(twins / "facescape", sizes=SIZES, seed=8)
    assert nothing == []
    assert len(facescape) == 3 + 4 and sum(sample.ablation for sample in facescape) == 2
    assert all(len(sample.photographs) == 2 for sample in facescape)
    aflw2000, nothing = read_aflw2000(twins / "aflw2000", annotation="original")
    assert nothing == []
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


def test_the_three_clips_differ_in_light_distance_blur_and_pose(face_model: Path, tmp_path: Path) -> None:
    studio, rng = Studio(plan(face_model, tmp_path), load_face_model(face_model)), np.random.default_rng(0)
    views = {name: [studio.view(setting, rng) for _ in range(40)] for name, setting in SETTINGS.items()}

    def ascending(value: Callable[[View], float]) -> list[str]:
        return sorted(views, key=lambda name: float(np.mean([value(view) for view in views[name]])))

    assert len({views[name][0].light.kind for name in views}) == 3
    widths_mm = ascending(lambda view: 2 * view.camera.distance_mm * np.tan(view.camera.field_of_view / 2))
    assert widths_mm == ["cooperative", "indoor", "outdoor"]  # of the picture: the face is ever smaller in it
    assert ascending(lambda view: view.sensor.blur_px) == ["cooperative", "outdoor", "indoor"]
    assert ascending(lambda view: abs(view.euler_angles[1])) == ["cooperative", "indoor", "outdoor"]


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
    true = read_annotation(tmp_path / "aflw2000/raw/image00002.mat").landmarks
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


def test_a_scan_without_landmarks_in_metres_is_refused(inputs: BenchmarkInputs, tmp_path: Path) -> None:
    write_micc(tmp_path / "real")
    write_mesh(tmp_path / "real/subject_01/Model/frontal2/obj/110920150505.obj", SQUARE[0] / 1000, SQUARE[1])
    with pytest.raises(ValueError, match=r"scan subject_01-further1: its longest side is 0\.09; is it not in mm"):
        build_benchmark("micc", real(inputs, micc=tmp_path / "real"), tmp_path / "micc")


def test_what_a_data_set_has_not_is_said_and_written(
    inputs: BenchmarkInputs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_micc(tmp_path / "real")
    build_benchmark("micc", real(inputs, micc=tmp_path / "real"), tmp_path / "micc")
    assert list(read_omitted(tmp_path / "micc")) == ["subject_01-indoor", "subject_02"]
    assert "micc: 2 left out: subject_01-indoor: neither frames" in caplog.text
    assert "2 of 2 scans have no marked landmarks" in caplog.text
    write_omitted(tmp_path, {})
    assert read_omitted(tmp_path) == {} and not (tmp_path / "omitted.json").exists()


def test_further_scans_lie_beside_the_first(inputs: BenchmarkInputs, tmp_path: Path) -> None:
    write_micc(tmp_path / "real")
    build_benchmark("micc", real(inputs, micc=tmp_path / "real"), tmp_path / "micc")
    first, second = (read_mesh(tmp_path / f"micc/scans/subject_01{which}.ply") for which in ("", f"{FURTHER}1"))
    np.testing.assert_allclose(second.vertices, first.vertices + np.array([0, 0, 1]), atol=1e-4)


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
