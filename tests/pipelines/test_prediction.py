"""From toy weights to coefficients, meshes, scores and tables: the mean face, a trained variant and a diverged one."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from models.coefficients import Coefficients, CoefficientSizes
from models.face_model import FaceModel
from models.networks.regressor import Regressor
from models.renderer import landmark_pixels, pose_face
from models.scores import eye_error
from pipelines import variant_prediction
from pipelines.benchmarks.common import Sample, write_samples
from pipelines.benchmarks.scans import write_mesh
from pipelines.coefficients_file import (
    coefficient_rows,
    coefficients_from_rows,
    read_coefficients,
    write_coefficients,
)
from pipelines.dataset import Batch, landmarks_by_key
from pipelines.evaluation import EvaluationInputs, evaluate
from pipelines.face_model_file import load_face_model
from pipelines.mean_face import predict_mean_face
from pipelines.objective import Objective
from pipelines.params import Variant
from pipelines.picture_scoring import load_photograph_labels, picture_scores
from pipelines.refinement import Refined
from pipelines.regression_network import save_regressor
from pipelines.scoring import MethodPredictions
from pipelines.shards import ShardReader, ShardWriter, encode_png, read_rows, write_rows
from pipelines.truth import true_coefficients
from pipelines.truth_rows import rows_with_truth
from pipelines.variant_prediction import VariantInputs, predict_variant
from tests.label_tree import CAMERA, SIZE, smoke_params, write_label_tree
from tests.training_process import toy_train_params

VARIANTS: tuple[Variant, ...] = ("full", "no_lmk", "wsl_control")
COUNT = 6
PAPER = Path(__file__).parents[2] / "reports/reference/paper_tables.yaml"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops with labels, three benchmarks that share them, weights and the predictions of all methods."""
    root = tmp_path_factory.mktemp("prediction")
    write_label_tree(root, COUNT + 1)
    rows = read_rows(root / "labels/aligned")
    write_rows(root / "labels/aligned", rows.assign(split=["test"] * (COUNT - 1) + ["extra", "train"]))
    truth = read_rows(root / "truth")
    write_rows(root / "truth", truth.assign(skin_tone_ita=np.linspace(-30, 75, COUNT + 1)))
    _write_benchmarks(root)
    for variant in VARIANTS:
        _write_weights(root / "weights" / variant, root, diverged=variant == "no_lmk")
        _predict_variant(root, variant, root / "predictions" / variant)
    _predict_mean_face(root, root / "predictions/mean_face")
    return root


def _predict_variant(root: Path, variant: Variant, output: Path, **changes: object) -> None:
    predict_variant(
        variant,
        VariantInputs(
            root / "face_model.h5",
            root / "weights" / variant,
            root / "labels",
            root / "recognizer",
            root / "benchmarks",
        ),
        output,
        camera=CAMERA,
        crop_size=SIZE,
        train=toy_train_params(),
        params=smoke_params().predict.model_copy(update={"batch_size": 4, **changes}),
    )


def _predict_mean_face(root: Path, output: Path) -> None:
    predict_mean_face(
        output,
        face_model=root / "face_model.h5",
        labels=root / "labels",
        benchmarks=root / "benchmarks",
        camera=CAMERA,
        crop_size=SIZE,
        params=smoke_params().predict.model_copy(update={"batch_size": 4}),
    )


def _write_benchmarks(root: Path) -> None:
    model = load_face_model(root / "face_model.h5")
    truth = coefficients_from_rows(read_rows(root / "truth"))
    landmarks = landmark_pixels(model, pose_face(model, truth, CAMERA), SIZE).flatten(1).tolist()
    neutral = model.vertices(truth.shape, torch.zeros_like(truth.expression)).numpy()
    for name in ("micc", "facescape", "aflw2000"):
        folder = root / "benchmarks" / name
        folder.mkdir(parents=True)
        for part in ("aligned", "landmarks"):
            (folder / part).symlink_to(root / "labels" / part)
    scans = root / "benchmarks"
    for name in ("micc", "facescape"):
        write_mesh(scans / name / "scans/a.ply", neutral[0], model.arrays.triangles)
    marked = neutral[0][model.arrays.landmark_vertices].tolist()
    (scans / "micc/scans/a.json").write_text(json.dumps(marked))
    clips = [
        _sample(f"s1-{name}", name, (f"face-{n}", f"face-{n + 1}")) for n, name in enumerate(("cooperative", "indoor"))
    ]
    write_samples(scans / "micc", [*clips, _sample("s1-outdoor", "outdoor", ())])
    faces = [_sample("1-neutral", "neutral", ("face-0",)), _sample("1-grin", "grin", ("face-1",), ablation=True)]
    write_samples(scans / "facescape", faces)
    pictures = [_sample(f"image{n}", "all", (f"face-{n}",), landmarks=tuple(landmarks[n])) for n in range(COUNT)]
    write_samples(scans / "aflw2000", pictures)


def _sample(
    name: str, condition: str, keys: tuple[str, ...], *, ablation: bool = False, landmarks: tuple[float, ...] = ()
) -> Sample:
    scan = "" if landmarks else "scans/a.ply"
    return Sample(name, "s1", condition, True, ablation, keys, scan, landmarks, float(len(name)))


def _write_weights(folder: Path, root: Path, *, diverged: bool) -> None:
    model = load_face_model(root / "face_model.h5")
    params = smoke_params().regressor.model_copy(update={"backbone": "resnet18", "input_size": 64})
    torch.manual_seed(0)
    sizes = CoefficientSizes(model.shape_size, model.expression_size, model.albedo_size)
    network = Regressor("resnet18", sizes)
    save_regressor(folder, network, params, pd.DataFrame({"step": []}), {"diverged": diverged})


def test_the_mean_face_meets_the_labelled_landmarks_with_zero_coefficients(tree: Path) -> None:
    found = coefficients_from_rows(read_coefficients(tree / "predictions/mean_face/coefficients.parquet", "test"))
    assert not found.shape.any() and not found.expression.any() and not found.albedo.any()
    model = load_face_model(tree / "face_model.h5")
    projected = landmark_pixels(model, pose_face(model, found, CAMERA), SIZE)
    tested = read_rows(tree / "labels/landmarks")["landmarks"][:COUNT]
    labelled = torch.tensor(np.stack(list(tested))).unflatten(1, (68, 2))
    assert torch.linalg.vector_norm(projected - labelled, dim=-1).mean() < 2.0  # px; the shapes differ
    assert pose_face(model, found, CAMERA).lit_specular.mean() < 1e-3  # a trace at the rim, which faces away


def test_variants_are_predicted_for_the_test_photographs_and_the_ablation_only(tree: Path) -> None:
    table = pd.read_parquet(tree / "predictions/no_lmk/coefficients.parquet")
    assert table.groupby("benchmark").size().to_dict() == {"test": COUNT, "facescape": 1}
    full = pd.read_parquet(tree / "predictions/full/coefficients.parquet")
    assert full.groupby("benchmark").size().to_dict() == {"test": COUNT, "micc": 3, "facescape": 2, "aflw2000": COUNT}


def test_the_control_is_predicted_everywhere_as_the_same_network_without_highlight(tree: Path) -> None:
    full, control = (
        pd.read_parquet(tree / f"predictions/{name}/coefficients.parquet") for name in ("full", "wsl_control")
    )
    pd.testing.assert_frame_equal(full.drop(columns="light_strength"), control.drop(columns="light_strength"))
    face = pose_face(load_face_model(tree / "face_model.h5"), coefficients_from_rows(control), CAMERA)
    assert not face.lit_specular.any() and face.lit_diffuse.mean() > 0


def test_meshes_of_a_clip_are_averaged(tree: Path) -> None:
    model: FaceModel = load_face_model(tree / "face_model.h5")
    table = read_coefficients(tree / "predictions/full/coefficients.parquet", "micc").set_index("key")
    two = coefficients_from_rows(table.loc[["face-0", "face-1"]])
    with np.load(tree / "predictions/full/meshes/micc/s1-cooperative.npz") as file:
        mean = model.vertices(two.shape, two.expression).mean(dim=0).detach().numpy()
        np.testing.assert_allclose(file["vertices"], mean, atol=1e-4)
    assert not (tree / "predictions/full/meshes/micc/s1-outdoor.npz").exists()  # no frame shows a face


def test_a_diverged_variant_predicts_nan(tree: Path) -> None:
    table = pd.read_parquet(tree / "predictions/no_lmk/coefficients.parquet")
    assert all(np.isnan(row).all() for row in table["shape"])


def test_predicting_again_gives_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    _predict_mean_face(tree, tmp_path / "mean_face")
    _predict_variant(tree, "full", tmp_path / "full", refine_learning_rate=9.0)  # of no steps
    for method in ("mean_face", "full"):
        earlier = tree / "predictions" / method
        for path in sorted(path for path in earlier.rglob("*") if path.is_file()):
            assert (tmp_path / method / path.relative_to(earlier)).read_bytes() == path.read_bytes(), path


def test_refining_changes_the_labelled_photographs_and_no_benchmark(tree: Path, tmp_path: Path) -> None:
    _predict_variant(tree, "full", tmp_path, refine=8, refine_learning_rate=0.05)
    plain, refined = (folder / "coefficients.parquet" for folder in (tree / "predictions/full", tmp_path))
    for name in ("micc", "facescape", "aflw2000"):
        pd.testing.assert_frame_equal(read_coefficients(plain, name), read_coefficients(refined, name))
    before, after = (read_coefficients(path, "test") for path in (plain, refined))
    assert before["key"].tolist() == after["key"].tolist()  # of the test split and the extra photograph
    for group in ("shape", "albedo", "euler_angles", "sh_coefficients"):
        assert not any(np.array_equal(*pair) for pair in zip(before[group], after[group], strict=True)), group
    model = load_face_model(tree / "face_model.h5")
    by_key = landmarks_by_key(tree / "labels/landmarks")
    labelled = torch.from_numpy(np.stack([by_key[key] for key in before["key"]]))
    faces = (pose_face(model, coefficients_from_rows(table), CAMERA) for table in (before, after))
    errors = [torch.linalg.vector_norm(landmark_pixels(model, face, SIZE) - labelled, dim=-1).mean() for face in faces]
    assert errors[1] < errors[0]


def test_photographs_that_refining_does_not_help_are_named(
    tree: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _predict_variant(tree, "full", tmp_path, refine=1, refine_learning_rate=50.0)
    table, plain = (
        read_coefficients(folder / "coefficients.parquet", "test") for folder in (tmp_path, tree / "predictions/full")
    )
    pd.testing.assert_frame_equal(table, plain)
    assert [record.getMessage() for record in caplog.records] == [
        "refining did not lower the loss of 4 of 4 photographs, which keep the network's answer:"
        " face-0, face-1, face-2, face-3",
        "refining did not lower the loss of 2 of 2 photographs, which keep the network's answer: face-4, face-5",
    ]


def test_a_diverged_variant_has_nothing_to_refine(tree: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _predict_variant(tree, "no_lmk", tmp_path, refine=1)
    table = pd.read_parquet(tmp_path / "coefficients.parquet")
    assert all(np.isnan(row).all() for row in table["shape"])
    assert not caplog.records


def test_a_variant_is_refined_under_its_own_losses(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_weights(tree / "weights/no_photo", tree, diverged=False)
    seen = []

    def refine_nothing(start: Coefficients, batch: Batch, objective: Objective, **steps: float) -> Refined:
        seen.append((objective.weights["photo"], objective.weights["lmk"] > 0, steps))
        zeros = torch.zeros(len(batch.image))
        return Refined(start, zeros, zeros, zeros == 0)

    monkeypatch.setattr(variant_prediction, "refine", refine_nothing)
    _predict_variant(tree, "no_photo", tmp_path, refine=3, refine_learning_rate=0.5)
    assert seen == 2 * [(0.0, True, {"steps": 3, "learning_rate": 0.5})]


@pytest.fixture(scope="module")
def reports(tree: Path) -> Path:
    params = smoke_params()
    inputs = EvaluationInputs(
        face_model=tree / "face_model.h5",
        labels=tree / "labels",
        truth=tree / "truth",
        benchmarks=tree / "benchmarks",
        predictions=tree / "predictions",
        recognizer=tree / "recognizer",
        paper=PAPER,
        variants=VARIANTS,
        params=params.evaluate,
        interval_params=params.intervals,
        benchmark_params=params.benchmarks,
        regressor_params=params.regressor,
        camera=CAMERA,
        crop_size=SIZE,
    )
    evaluate(inputs, scores=tree / "scores", tables=tree / "tables", metrics=tree / "metrics.json")
    return tree


def test_every_table_has_numbers_for_methods_and_nan_for_the_diverged(reports: Path) -> None:
    metrics = json.loads((reports / "metrics.json").read_text())
    colour = metrics["table1"]["test"]
    assert colour["full"]["n"] == COUNT - 1 and 0 < colour["full"]["mean"] < 1
    assert math.isnan(colour["no_lmk"]["mean"])
    assert math.isnan(metrics["table2"]["facescape"]["all"]["no_lmk"]["mean_mm"])
    assert metrics["table2"]["facescape"]["all"]["mean_face"]["n"] == 1
    micc = metrics["table3"]["micc"]
    assert set(micc) == {"cooperative", "indoor"} and set(micc["indoor"]) == {"full", "wsl_control", "mean_face"}
    assert 0 < micc["indoor"]["mean_face"]["mean_mm"] < 5
    assert set(metrics["table4"]["facescape"]) == {"neutral", "grin"}
    assert metrics["table5"]["aflw2000"]["px"]["mean_face"]["n"] == COUNT
    assert metrics["truth"]["pose"]["mean_face"]["mean"] < 10  # degrees
    assert "mean_face" not in metrics["truth"]["light_direction"]
    for unknown in ("specular", "light_direction", "shininess"):
        assert "full" in metrics["truth"][unknown] and "wsl_control" not in metrics["truth"][unknown]
    assert metrics["truth"]["diffuse"]["wsl_control"] == metrics["truth"]["diffuse"]["full"]  # the same toy network
    assert metrics["truth"]["landmarks"]["mean_face"]["mean"] < 2.0  # px of 64
    assert "no_lmk" in metrics["truth"]["highlight_leak"] and math.isnan(metrics["truth"]["pose"]["no_lmk"]["mean"])
    assert math.isnan(metrics["variance"]["identity"]["least"]["no_lmk"]["mean"])
    assert metrics["variance"]["identity"]["average"]["truth"]["n"] == COUNT - 1
    assert metrics["skin_tones"]["colour_dark"]["full"]["n"] == 2  # of five


def test_colour_error_counts_pixels_that_the_photograph_shows_as_face(tree: Path, tmp_path: Path) -> None:
    for part in ("aligned", "landmarks", "features"):
        (tmp_path / part).symlink_to(tree / "labels" / part)
    with ShardWriter(tmp_path / "segments", keys_per_shard=8) as writer:
        for key in ShardReader(tree / "labels/segments").keys:
            writer.write(key, {"png": encode_png(np.zeros((SIZE, SIZE), np.uint8))})
    full, model = MethodPredictions("full", tree / "predictions/full"), load_face_model(tree / "face_model.h5")
    labels = load_photograph_labels(tmp_path, tree / "recognizer")
    scores = picture_scores(full, labels, model=model, camera=CAMERA, crop_size=SIZE)
    values = scores.groupby("column")["value"].apply(list)
    assert values["test"] == values["test_squared"] == [1.0] * (COUNT - 1)  # all background: each face is missed
    assert values["psnr"] == values["ssim"] == [0.0] * (COUNT - 1)


def test_a_rendering_with_the_true_coefficients_is_the_photograph(reports: Path, tmp_path: Path) -> None:
    """The toy photographs are renderings, and their crops whole pictures: only JPEG lies between both."""
    keys = [f"face-{number}" for number in range(COUNT - 1)]
    truth = coefficients_from_rows(read_rows(reports / "truth")[: COUNT - 1])
    write_coefficients(tmp_path / "coefficients.parquet", coefficient_rows("test", keys, truth))
    labels = load_photograph_labels(reports / "labels", reports / "recognizer")
    model = load_face_model(reports / "face_model.h5")
    best = picture_scores(MethodPredictions("t", tmp_path), labels, model=model, camera=CAMERA, crop_size=SIZE)
    means = best.groupby("column")["value"].mean()
    assert means["test"] < 0.05 and means["psnr"] > 25 and means["ssim"] > 0.8
    found = pd.read_parquet(reports / "scores/picture_measures.parquet")
    full = found[found["row"] == "full"].groupby("column")["value"].mean()
    assert full["psnr"] < means["psnr"] and full["ssim"] < means["ssim"] and full["identity"] > means["identity"]


def test_tables_stand_beside_their_splits_and_intervals(reports: Path) -> None:
    names = {path.stem for path in (reports / "tables").glob("*.csv")}
    assert {"picture_measures", "skin_tones", "table1_pixel_error_by_yaw", "table5_aflw2000_mouth_by_yaw"} <= names
    tables = ["table2_facescape_ablation", "table3_micc", "table4_facescape"]
    assert {f"{name}_by_skin_tone" for name in tables} <= names
    five = ["table1_pixel_error", *tables, "table5_aflw2000_mouth"]
    assert {f"{name}_intervals" for name in five} <= names
    colour = pd.read_csv(reports / "tables/table1_pixel_error_intervals.csv").set_index("row")
    table = pd.read_csv(reports / "tables/table1_pixel_error.csv").set_index("row")
    assert colour.loc["full", "mean"] == table.loc["full", "mean"] and colour.loc["full", "subjects"] == COUNT - 1
    assert colour.loc["mean_face", "common_samples"] == COUNT - 1 and colour.loc["no_lmk", "common_samples"] == 0
    shapes = (reports / "tables/table3_micc_intervals.md").read_text()
    assert "(no interval)" in shapes  # both clips are of one person
    yaw = (reports / "tables/table1_pixel_error_by_yaw.md").read_text()
    assert "0–15°" in yaw and "no data" in yaw and "cannot be split by yaw" in yaw


def test_the_spread_of_table_1_is_over_pixels(reports: Path) -> None:
    scores = pd.read_parquet(reports / "scores/table1_pixel_error.parquet")
    values = scores[scores["row"] == "full"].groupby("column")["value"].mean()
    wanted = math.sqrt(values["test_squared"] - values["test"] ** 2)
    metrics = json.loads((reports / "metrics.json").read_text())
    assert metrics["table1"]["test"]["full"]["std"] == pytest.approx(wanted, rel=1e-4)
    assert set(metrics["table1"]) == {"test"}
    tables = {"table1", "table2", "table3", "table4", "table5"}
    assert set(metrics) == {*tables, "protocols", "skin_tones", "truth", "variance"}


def test_a_sample_without_a_face_is_a_row_and_no_number(reports: Path) -> None:
    rows = pd.read_parquet(reports / "scores/table3_micc.parquet")
    assert rows.loc[rows["column"] == "outdoor", "status"].tolist() == ["no face", "no face", "no face"]
    assert "no data" in (reports / "tables/table3_micc.md").read_text()


def test_the_diffuse_albedo_error_of_the_mean_face_is_what_the_truth_says(reports: Path) -> None:
    model, truth = (
        load_face_model(reports / "face_model.h5"),
        coefficients_from_rows(read_rows(reports / "truth")[:COUNT]),
    )
    basis = torch.from_numpy(model.arrays.diffuse_basis).flatten(1)
    offset = (truth.albedo @ basis).unflatten(-1, (-1, 3))[:, model.region_mask("skin", "nose")]
    wanted = offset.square().mean(dim=(1, 2)).sqrt()
    scores = pd.read_parquet(reports / "scores/truth_errors.parquet")
    chosen = scores[(scores["row"] == "mean_face") & (scores["column"] == "diffuse")].sort_values("sample")
    np.testing.assert_allclose(chosen["value"], wanted.numpy(), rtol=1e-4)


def test_the_mean_prediction_stands_for_the_training_photographs(reports: Path) -> None:
    *_, training = read_rows(reports / "truth")["shininess"]
    scores = pd.read_parquet(reports / "scores/truth_errors.parquet")
    chosen = scores[(scores["row"] == "mean_prediction") & (scores["column"] == "shininess")].sort_values("sample")
    wanted = (read_rows(reports / "truth")["shininess"][:COUNT] - training).abs()
    np.testing.assert_allclose(chosen["value"], wanted, rtol=1e-4)
    assert "mean_prediction" not in set(scores.loc[scores["column"] == "landmarks", "row"])  # it has no scale


def test_eyes_and_landmarks_are_compared_with_the_true_ones(tree: Path, reports: Path) -> None:
    table = read_coefficients(tree / "predictions/mean_face/coefficients.parquet", "test")
    model, truth = load_face_model(tree / "face_model.h5"), read_rows(tree / "truth").set_index("key")
    projected = landmark_pixels(model, pose_face(model, coefficients_from_rows(table), CAMERA), SIZE)
    true = torch.tensor(np.stack(list(truth.loc[table["key"], "landmarks"]))).unflatten(1, (68, 2))
    scores = pd.read_parquet(reports / "scores/truth_errors.parquet")
    wanted = {"eye_opening": eye_error(projected, true), "landmarks": (projected - true).norm(dim=-1).mean(dim=-1)}
    for column, errors in wanted.items():
        chosen = scores[(scores["row"] == "mean_face") & (scores["column"] == column)].set_index("sample")["value"]
        np.testing.assert_allclose(chosen.loc[table["key"]], errors.numpy(), rtol=1e-3)
        assert errors.min() > 0


def test_truth_turns_with_the_crop(tree: Path, tmp_path: Path) -> None:
    rows = read_rows(tree / "labels/aligned")
    quarter = [0.0, -1.0, 60.0, 1.0, 0.0, 0.0]  # x to y: clockwise in a picture, a roll of -90° seen with y up
    write_rows(tmp_path, rows.assign(crop_from_photograph=[quarter] * len(rows)))
    straight = true_coefficients(rows_with_truth(tree / "labels/aligned", tree / "truth", "test"))
    turned = true_coefficients(rows_with_truth(tmp_path, tree / "truth", "test"))
    torch.testing.assert_close(turned.euler_angles[:, 2], straight.euler_angles[:, 2] - math.pi / 2)
    torch.testing.assert_close(turned.light_position[..., 0], straight.light_position[..., 1])
    torch.testing.assert_close(turned.light_position[..., 1], -straight.light_position[..., 0], atol=1e-3, rtol=0)
