"""The NoW benchmark on a tiny tree in its layout: reading, the files of a submission, errors on the scans."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from models.coefficients import CoefficientSizes
from models.face_model import FaceModel
from models.networks.regressor import Regressor
from models.segments import SEGMENT_INDEX
from models.surface import mesh_normals, surface_from_mesh
from pipelines.benchmarks.scans import read_mesh, write_mesh
from pipelines.face_model_file import save_face_model
from pipelines.now import submission
from pipelines.now.evaluation import crop, evaluate_submission, scan_errors
from pipelines.now.reader import LANDMARKS, NowScan, read_now, read_now_scan, read_picked_points
from pipelines.now.submission import SubmissionInputs, write_submission
from pipelines.regression_network import save_regressor
from pipelines.shards import read_rows, write_rows
from tests.label_tree import smoke_params, write_aligned
from tests.toy import toy_face_arrays

LINES = (
    "FaMoS_1_TA/multiview_neutral/IMG_0001.jpg",
    "FaMoS_1_TA/selfie/IMG_0002.jpg",
    "FaMoS_2_TA/multiview_expressions/IMG_0003.jpg",
)
ARRAYS = toy_face_arrays()
MODEL = FaceModel(ARRAYS)
SEVEN = ARRAYS.landmark_vertices[list(LANDMARKS)]


def picked_points(points: NDArray[np.floating]) -> str:
    """A file as MeshLab writes it."""
    lines = [
        f' <point x="{x:.5f}" y="{y:.5f}" z="{z:.5f}" active="1" name="{number}"/>'
        for number, (x, y, z) in enumerate(points)
    ]
    head = (
        '<!DOCTYPE PickedPoints>\n<PickedPoints>\n <DocumentData>\n  <DataFileName name="a.obj"/>\n </DocumentData>\n'
    )
    return head + "\n".join(lines) + "\n</PickedPoints>\n"


def write_now(folder: Path, vertices: NDArray[np.floating]) -> None:
    """Two subjects, three photographs, one scan: the mesh `vertices` of the toy face, turned upside down and moved."""
    for number, line in enumerate(LINES):
        path = folder / "NoW_Dataset/final_release_version/iphone_pictures" / line
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (50 * number, 90, 90)).save(path)
    (folder / "imagepathsvalidation.txt").write_text("\n".join(LINES) + "\n")
    scan = vertices @ np.diag([-1.0, -1.0, 1.0]) + [300.0, -40.0, 1000.0]
    write_mesh(folder / "scans/FaMoS_1_TA/scan.obj", scan, ARRAYS.triangles)
    path = folder / "scans_lmks_onlypp/FaMoS_1_TA/scan_picked_points.pp"
    path.parent.mkdir(parents=True)
    path.write_text(picked_points(scan[SEVEN]))


# --- reading ---


def test_photographs_are_named_as_their_files_of_a_submission(tmp_path: Path) -> None:
    write_now(tmp_path, ARRAYS.mean_shape)
    samples, nothing = read_now(tmp_path, image_set="validation")
    assert [f"{sample.name}.jpg" for sample in samples] == list(LINES) and nothing == []
    assert [(sample.subject, sample.condition) for sample in samples][1] == ("FaMoS_1_TA", "selfie")
    assert samples[2].photographs[0].path.name == "IMG_0003.jpg"
    (tmp_path / "imagepathsvalidation.txt").write_text("".join(f"some/folder/{line}\n\n" for line in LINES))
    assert read_now(tmp_path, image_set="validation").samples == samples


def test_a_listed_photograph_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_now(tmp_path, ARRAYS.mean_shape)
    next(tmp_path.rglob("IMG_0002.jpg")).unlink()
    samples, (omitted,) = read_now(tmp_path, image_set="validation")
    assert len(samples) == 2 and omitted.what == "FaMoS_1_TA/selfie/IMG_0002" and "is not there" in omitted.reason


def test_wrong_layouts_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"now\.is\.tue\.mpg\.de"):
        read_now(tmp_path / "nowhere", image_set="validation")
    with pytest.raises(FileNotFoundError, match=r"imagepathstest\.txt: missing; expected the layout"):
        read_now(tmp_path, image_set="test")
    (tmp_path / "imagepathstest.txt").write_text(LINES[0])
    with pytest.raises(FileNotFoundError, match="no folder iphone_pictures"):
        read_now(tmp_path, image_set="test")
    for line in ("IMG_0001.jpg", "../../IMG_0001.jpg"):
        (tmp_path / "imagepathstest.txt").write_text(line)
        with pytest.raises(ValueError, match=r"imagepathstest\.txt: expected lines <subject>/<challenge>"):
            read_now(tmp_path, image_set="test")


def test_scans_come_with_seven_points(tmp_path: Path) -> None:
    write_now(tmp_path, ARRAYS.mean_shape)
    scan = read_now_scan(tmp_path, "FaMoS_1_TA")
    np.testing.assert_allclose(scan.landmarks, scan.vertices[SEVEN], atol=1e-4)
    next(tmp_path.rglob("*.pp")).unlink()
    with pytest.raises(FileNotFoundError, match=r"scans_lmks_onlypp/FaMoS_1_TA: no file \*\.pp"):
        read_now_scan(tmp_path, "FaMoS_1_TA")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a readable file"),
        ("<PickedPoints><point x='1' y='2'/></PickedPoints>", "not a readable file"),
        (picked_points(np.zeros((6, 3))), "expected 7 finite points with x, y, z, got 6"),
        (picked_points(np.full((7, 3), np.nan)), "expected 7 finite points"),
    ],
)
def test_points_that_are_not_seven_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.pp").write_text(content)
    with pytest.raises(ValueError, match=rf"a\.pp: {message}"):
        read_picked_points(tmp_path / "a.pp")


# --- writing ---


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SubmissionInputs:
    """Real steps except MTCNN, which sees no toy faces: a photograph has a crop unless it is the third."""

    def align(photographs: Path, output: Path, **_: Any) -> None:
        rows = read_rows(photographs)
        picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        write_aligned(output, dict.fromkeys(rows["key"], picture))
        reason = ["no face found" if key == "now-0002" else "" for key in rows["key"]]
        status = ["rejected" if one else "kept" for one in reason]
        write_rows(output, read_rows(output).assign(status=status, reason=reason))

    monkeypatch.setattr(submission, "align_photographs", align)
    params = smoke_params()
    save_face_model(tmp_path / "face_model.h5", ARRAYS)
    _write_weights(tmp_path / "weights", diverged=False)
    return SubmissionInputs(
        now=tmp_path / "now",
        face_model=tmp_path / "face_model.h5",
        weights=tmp_path / "weights",
        memo=tmp_path / "memo",
        align=params.align,
        crop_size=64,
        batch_size=1,
    )


def _write_weights(folder: Path, *, diverged: bool) -> None:
    params = smoke_params().regressor.model_copy(update={"backbone": "resnet18", "input_size": 64})
    torch.manual_seed(0)
    network = Regressor("resnet18", CoefficientSizes(MODEL.shape_size, MODEL.expression_size, MODEL.albedo_size))
    with torch.no_grad():
        network.head.bias.fill_(0.5)  # a face with an identity and an expression
    save_regressor(folder, network, params, pd.DataFrame({"step": []}), {"diverged": diverged})


def _files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_submission_holds_neutral_meshes_with_their_seven_points(
    inputs: SubmissionInputs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_now(inputs.now, ARRAYS.mean_shape)
    samples = write_submission(inputs, "validation", tmp_path / "out")
    names = [line.removesuffix(".jpg") for line in LINES]
    assert [sample.name for sample in samples] == names[:2]
    assert list(_files(tmp_path / "out")) == sorted(
        ["omitted.json", *(f"{name}.{suffix}" for name in names[:2] for suffix in ("npy", "ply"))]
    )
    assert json.loads((tmp_path / "out/omitted.json").read_text()) == {names[2]: "no face found"}
    assert "1 left out" in caplog.text and "all of the 3 photographs" in caplog.text
    assert not list(tmp_path.glob("tmp*"))  # where the crops were

    mesh, points = read_mesh(tmp_path / f"out/{names[0]}.ply"), np.load(tmp_path / f"out/{names[0]}.npy")
    with torch.inference_mode():
        shape = torch.full((1, MODEL.shape_size), 0.5)
        neutral = MODEL.vertices(shape, torch.zeros(1, MODEL.expression_size))[0].numpy()
    assert points.shape == (7, 3)
    np.testing.assert_allclose(points, neutral[SEVEN], atol=2.0)  # mm; the random backbone adds a little
    nearest = np.linalg.norm(points[:, None] - mesh.vertices, axis=-1).min(axis=1)
    assert nearest.max() < 1e-3  # on the mesh, in its frame and unit
    hidden = (ARRAYS.regions == SEGMENT_INDEX["inner_mouth"])[ARRAYS.triangles].any(axis=1)
    assert hidden.any() and len(mesh.triangles) == (~hidden).sum()


def test_a_folder_that_holds_something_is_not_touched(inputs: SubmissionInputs, tmp_path: Path) -> None:
    write_now(inputs.now, ARRAYS.mean_shape)
    with pytest.raises(ValueError, match="is not empty; a submission needs a folder of its own"):
        write_submission(inputs, "validation", inputs.now)


def test_a_diverged_training_submits_nothing(inputs: SubmissionInputs, tmp_path: Path) -> None:
    write_now(inputs.now, ARRAYS.mean_shape)
    _write_weights(tmp_path / "weights", diverged=True)
    with pytest.raises(ValueError, match="its training diverged, there is nothing to submit"):
        write_submission(inputs, "validation", tmp_path / "out")


# --- evaluating ---


def mean_face_scan(points: NDArray[np.float64]) -> NowScan:
    return NowScan(points, ARRAYS.triangles.astype(np.int64), ARRAYS.mean_shape[SEVEN].astype(np.float64))


def test_the_same_face_of_another_size_and_place_has_no_error() -> None:
    points = ARRAYS.mean_shape.astype(np.float64)
    moved = 0.01 * points @ np.diag([-1.0, -1.0, 1.0]) + [3.0, 2.0, 1.0]
    scan = mean_face_scan(points)
    errors = scan_errors(surface_from_mesh(moved, ARRAYS.triangles), moved[SEVEN], scan, iterations=10)
    on_surface = surface_from_mesh(points, ARRAYS.triangles).points
    assert len(errors) == crop(scan.landmarks).contains(on_surface).sum() > 100
    assert errors.max() < 1e-3  # mm


def test_the_error_is_the_distance_of_the_scans_points_in_mm() -> None:
    points = ARRAYS.mean_shape.astype(np.float64)
    mesh = surface_from_mesh(points, ARRAYS.triangles)
    to_both_sides = np.where(np.arange(len(points)) % 2, 1.5, -1.5)[:, None]  # mm
    scan = mean_face_scan(points + to_both_sides * mesh_normals(points, ARRAYS.triangles))
    errors = scan_errors(mesh, points[SEVEN], scan, iterations=10)
    assert abs(np.median(errors) - 1.5) < 0.1


def test_the_crop_is_that_of_the_benchmarks_own_code() -> None:
    landmarks = np.array(
        [[-45.0, 30, 0], [-15, 30, 0], [15, 30, 0], [45, 30, 0], [0, -10, 0], [-25, -40, 0], [25, -40, 0]]
    )
    centre, radius = crop(landmarks)
    np.testing.assert_allclose(centre, [0, -10 + 0.3 * 40, 0])
    assert math.isclose(radius, 1.4 * (90 + 40) / 2)


def test_errors_are_pooled_over_all_points_of_a_challenge(inputs: SubmissionInputs, tmp_path: Path) -> None:
    write_now(inputs.now, ARRAYS.mean_shape)
    samples = write_submission(inputs, "validation", tmp_path / "out")
    assert evaluate_submission(inputs.now, samples, tmp_path / "out", iterations=5)
    table = pd.read_csv(tmp_path / "out/errors.csv")
    summary = json.loads((tmp_path / "out/errors.json").read_text())
    assert table["photograph"].tolist() == [sample.name for sample in samples]
    assert list(summary) == ["all", "multiview_neutral", "selfie"] and summary["all"]["photographs"] == 2
    assert summary["all"]["points"] == table["points"].sum()
    weighted = np.average(table["mean_mm"], weights=table["points"])
    assert math.isclose(summary["all"]["mean_mm"], weighted, abs_tol=1e-3) and 0.01 < weighted < 20
    assert summary["selfie"]["median_mm"] == pytest.approx(table["median_mm"][1], abs=1e-4)


def test_without_scans_there_is_nothing_to_evaluate(inputs: SubmissionInputs, tmp_path: Path) -> None:
    write_now(inputs.now, ARRAYS.mean_shape)
    samples = [
        sample for sample in read_now(inputs.now, image_set="validation").samples if sample.subject != "FaMoS_1_TA"
    ]
    assert not evaluate_submission(inputs.now, samples, tmp_path, iterations=5)
    assert not (tmp_path / "errors.json").exists()
