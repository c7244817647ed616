"""Shape scores of a small benchmark: scales, further scans, corresponding vertices, and input that is wrong."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau

from models.face_model import FaceModel
from models.icp import IcpSettings
from models.protocols import PROTOCOLS
from pipelines.benchmarks.common import Sample
from pipelines.benchmarks.scans import FURTHER, write_mesh
from pipelines.missing_samples import with_missing_samples
from pipelines.scoring import MethodPredictions
from pipelines.shape_scoring import ShapeScoring, protocol_scores, read_scan, shape_scores
from pipelines.tables import NO_PAPER, Column, TableSpec, build_cells
from pipelines.vertex_scoring import rank_agreements, true_vertices, vertex_scores
from tests.toy import toy_face_arrays

ARRAYS = toy_face_arrays()
MODEL = FaceModel(ARRAYS)
FACE = ARRAYS.mean_shape.astype(np.float64)
NAMES = ("a", "b", "c")
PAPER = PROTOCOLS["paper"]


def sample(name: str, *, seen: bool = True) -> Sample:
    scan = f"scans/{name}.ply"
    return Sample(name, name, "neutral", True, True, (name,) if seen else (), scan, (), math.nan)


SAMPLES = [sample(name) for name in NAMES]


def person(name: str, amount: float = 1.0) -> NDArray[np.float64]:
    """A face whose identity depends on its name."""
    coefficients = np.random.default_rng(ord(name)).normal(size=len(ARRAYS.shape_basis))
    return FACE + amount * np.tensordot(coefficients, ARRAYS.shape_basis, 1)


@pytest.fixture
def scoring(tmp_path: Path) -> ShapeScoring:
    """Scans of three people with landmarks."""
    for name in NAMES:
        write_scan(tmp_path / f"facescape/scans/{name}.ply", person(name))
    return ShapeScoring(tmp_path / "facescape", MODEL, IcpSettings(15, 0.95))


def write_scan(path: Path, vertices: NDArray[np.float64]) -> None:
    write_mesh(path, vertices, ARRAYS.triangles)
    path.with_suffix(".json").write_text(json.dumps(vertices[ARRAYS.landmark_vertices].tolist()))


def predictions(folder: Path, *, method: str = "full", amount: float = 0.5, factor: float = 1.0) -> MethodPredictions:
    found = MethodPredictions(method, folder / "predictions" / method)
    for name in NAMES:
        write_prediction(found, name, factor * person(name, amount))
    return found


def write_prediction(method: MethodPredictions, name: str, vertices: NDArray[np.floating]) -> None:
    path = method.folder / "meshes/facescape" / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, vertices=vertices.astype(np.float32))


def papers_scores(method: MethodPredictions, scoring: ShapeScoring) -> pd.DataFrame:
    return shape_scores(method, SAMPLES, scoring=scoring, protocol=PAPER)


def values(method: MethodPredictions, scoring: ShapeScoring, *names: str) -> pd.Series:
    """Errors by protocol and sample."""
    found = protocol_scores(method, SAMPLES, scoring=scoring, protocols=[PROTOCOLS[name] for name in names])
    return found.set_index(["column", "sample"])["value"]


def test_every_sample_has_a_score_under_every_protocol(scoring: ShapeScoring, tmp_path: Path) -> None:
    method = predictions(tmp_path)
    found = protocol_scores(method, SAMPLES, scoring=scoring, protocols=list(PROTOCOLS.values()))
    assert len(found) == len(PROTOCOLS) * len(SAMPLES) and set(found["status"]) == {"ok"}
    assert set(found["column"]) == set(PROTOCOLS)
    paper = found[found["column"] == "paper"].set_index("sample")["value"]
    pd.testing.assert_series_equal(paper, papers_scores(method, scoring).set_index("sample")["value"])


def test_protocols_measured_together_give_what_each_gives_alone(scoring: ShapeScoring, tmp_path: Path) -> None:
    method = predictions(tmp_path, factor=0.95)
    changes: list[dict[str, str]] = [{"statistic": "rmse"}, {"scale": "landmarks"}, {"distance": "surface"}]
    changes += [{"direction": "mesh_to_scan"}, {"region": "nose"}]
    chosen = [PAPER, *(replace(PAPER, name=str(number), **change) for number, change in enumerate(changes))]  # type: ignore[arg-type]
    together = protocol_scores(method, SAMPLES, scoring=scoring, protocols=chosen).set_index("column")["value"]
    for protocol in chosen:
        alone = shape_scores(method, SAMPLES, scoring=scoring, protocol=protocol)
        np.testing.assert_array_equal(together[protocol.name], alone["value"])
    assert together.nunique() == len(chosen) * len(SAMPLES)


def test_genovas_scale_is_one_for_all_meshes_of_a_method(scoring: ShapeScoring, tmp_path: Path) -> None:
    method = predictions(tmp_path, amount=1.0, factor=0.9)
    write_prediction(method, "b", 0.8 * person("b"))  # of another size than the method's others
    chosen = ("paper", "genova2018")
    found = values(method, scoring, *chosen)
    assert found["paper"].max() < 0.2  # the toy scan shows the wall inside the mouth
    assert found["genova2018"][["a", "c"]].max() < 0.2
    assert found["genova2018", "b"] > 0.8


def test_ganfit_takes_the_better_of_two_frontal_scans(scoring: ShapeScoring, tmp_path: Path) -> None:
    method, chosen = predictions(tmp_path), ("paper", "ganfit")
    before = values(method, scoring, *chosen)
    write_scan(scoring.benchmark / f"scans/a{FURTHER}1.ply", person("a", 0.5))
    after = values(method, scoring, *chosen)
    assert after["ganfit", "a"] < 0.5 * before["ganfit", "a"]
    assert (after.drop(("ganfit", "a")) == before.drop(("ganfit", "a"))).all()


# --- wrong input ---


def cell(scores: pd.DataFrame) -> tuple[str, int, str]:
    """Status and count of the cell that the scores give, and what the caption says."""
    spec = TableSpec("t", "T.", "twin", (Column("neutral", "n", "mm"),), ("full",))
    (told,) = with_missing_samples([spec], {"t": scores})
    (found,) = build_cells(told, scores, NO_PAPER)
    return found.status, found.count, told.caption


def test_a_mesh_with_nan_makes_the_cell_nan_and_is_counted(scoring: ShapeScoring, tmp_path: Path) -> None:
    method, broken = predictions(tmp_path), person("b")
    broken[7, 1] = np.nan
    write_prediction(method, "b", broken)
    scores = papers_scores(method, scoring)
    assert scores["status"].tolist() == ["ok", "diverged", "ok"]
    assert cell(scores) == ("diverged", 3, "twin; full: 1 of 3 samples diverged, NaN")


@pytest.mark.parametrize("factor", [1000.0, 1e-3])
def test_a_mesh_in_another_unit_makes_the_cell_nan_and_is_counted(
    scoring: ShapeScoring, tmp_path: Path, factor: float
) -> None:
    method = predictions(tmp_path)
    write_prediction(method, "c", factor * person("c"))
    scores = papers_scores(method, scoring)
    assert np.isnan(scores["value"].tolist()[2])
    assert cell(scores) == ("diverged", 3, "twin; full: 1 of 3 samples wrong size, NaN")


def test_a_sample_without_a_face_lowers_the_count_and_the_caption_says_so(
    scoring: ShapeScoring, tmp_path: Path
) -> None:
    samples = [*SAMPLES[:2], sample("c", seen=False)]
    scores = shape_scores(predictions(tmp_path), samples, scoring=scoring, protocol=PAPER)
    assert cell(scores) == ("measured", 2, "twin; full: 1 of 3 samples no face, not counted")
    assert cell(papers_scores(predictions(tmp_path), scoring))[2] == "twin"


def test_a_scan_without_landmarks_is_counted_where_they_are_needed(scoring: ShapeScoring, tmp_path: Path) -> None:
    (scoring.benchmark / "scans/b.json").unlink()
    chosen = [PAPER, PROTOCOLS["now_mean"]]
    found = protocol_scores(predictions(tmp_path), SAMPLES, scoring=scoring, protocols=chosen)
    statuses = found.set_index(["column", "sample"])["status"]
    assert statuses["paper"].tolist() == ["ok"] * 3
    assert statuses["now_mean"].tolist() == ["ok", "no landmarks", "ok"]
    scores = found[found["column"] == "now_mean"].assign(column="neutral")
    assert cell(scores) == ("measured", 2, "twin; full: 1 of 3 samples no landmarks, not counted")


@pytest.mark.parametrize("vertices", [np.zeros((0, 3)), FACE[:-1], FACE[:, :2]])
def test_a_mesh_of_another_topology_is_refused_by_name(
    scoring: ShapeScoring, tmp_path: Path, vertices: NDArray[np.float64]
) -> None:
    method = predictions(tmp_path)
    write_prediction(method, "a", vertices)
    with pytest.raises(ValueError, match=rf"a\.npz: expected the face model's {len(FACE)} vertices .*, got an array"):
        papers_scores(method, scoring)


def test_a_subject_missing_from_the_predictions_is_named(scoring: ShapeScoring, tmp_path: Path) -> None:
    method = predictions(tmp_path)
    (method.folder / "meshes/facescape/b.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"full/meshes/facescape/b\.npz: missing; run the stage predict"):
        papers_scores(method, scoring)


def test_scans_that_cannot_be_measured_are_refused_by_name(scoring: ShapeScoring, tmp_path: Path) -> None:
    path, method = scoring.benchmark / "scans/a.ply", predictions(tmp_path)
    for vertices, triangles, message in (
        (FACE, ARRAYS.triangles[:0], "found no triangle"),
        (np.zeros_like(FACE), ARRAYS.triangles, "finite points in triangles that have an area, found none"),
        (FACE[:4], np.array([[0, 1, 2]]), "at least 10 points in the crop of the protocol paper, got"),
        (FACE + 1e4, ARRAYS.triangles, "are its landmarks on it, in mm?"),
    ):
        write_mesh(path, vertices, triangles)
        with pytest.raises(ValueError, match=rf"a\.ply: .*{message}".replace("?", r"\?")):
            papers_scores(method, scoring)


def test_a_scan_needs_no_normals_of_its_own(scoring: ShapeScoring) -> None:
    normals = read_scan(scoring.benchmark / "scans/a.ply").surface.normals
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)


# --- corresponding vertices ---


def write_truth(scoring: ShapeScoring) -> None:
    for name in NAMES:
        write_mesh(scoring.benchmark / f"raw/tu/{name}/models_reg/1_neutral.obj", person(name), ARRAYS.triangles)


def test_vertices_are_compared_where_the_true_mesh_corresponds(scoring: ShapeScoring, tmp_path: Path) -> None:
    write_truth(scoring)
    exact = predictions(tmp_path, method="full", amount=1.0, factor=1.1)
    half = predictions(tmp_path, method="no_id", amount=0.5)
    icp_scores = pd.concat([papers_scores(method, scoring) for method in (exact, half)])
    found = vertex_scores([exact, half], scoring.benchmark, SAMPLES, model=MODEL, icp_scores=icp_scores)
    means = found.groupby(["row", "column"])["value"].mean()
    assert means["full", "similarity"] < 1e-3 < 1.0 < means["full", "rigid"]
    assert means["no_id", "similarity"] > 0.1
    assert (found.loc[found["column"] == "tau_over_methods", "value"] == 1.0).all()


def test_without_corresponding_meshes_there_is_no_number(scoring: ShapeScoring, tmp_path: Path) -> None:
    method = predictions(tmp_path)
    icp_scores = papers_scores(method, scoring)
    assert vertex_scores([method], scoring.benchmark, SAMPLES, model=MODEL, icp_scores=icp_scores).empty
    write_mesh(scoring.benchmark / "raw/tu/a/models_reg/1_neutral.obj", person("a"), ARRAYS.triangles[:-1])
    assert true_vertices(scoring.benchmark, SAMPLES[0], MODEL) is None


def test_a_diverged_mesh_has_neither_vertex_error_nor_rank(scoring: ShapeScoring, tmp_path: Path) -> None:
    write_truth(scoring)
    method = predictions(tmp_path)
    write_prediction(method, "b", np.full_like(FACE, np.nan))
    scores = papers_scores(method, scoring)
    found = vertex_scores([method], scoring.benchmark, SAMPLES, model=MODEL, icp_scores=scores)
    of_b = found[(found["sample"] == "b") & (found["column"] != "tau_over_methods")]
    assert of_b["value"].isna().all() and set(of_b["status"]) == {"diverged"}


def test_agreement_tau_over_samples_and_methods_is_kendalls_tau() -> None:
    rng = np.random.default_rng(0)
    rows = [(f"m{m}", "similarity", f"s{s}", float(rng.normal()), "ok") for m in range(4) for s in range(6)]
    errors = pd.DataFrame(rows, columns=["row", "column", "sample", "value", "status"])
    other = errors.assign(value=rng.normal(size=len(errors)), column="all")
    found = rank_agreements(errors, other)
    for column, grouped in (("tau_over_samples", "row"), ("tau_over_methods", "sample")):
        chosen = found[found["column"] == column]
        for name, group in errors.groupby(grouped):
            expected = kendalltau(group["value"], other.loc[group.index, "value"]).statistic
            assert chosen.loc[chosen[grouped] == name, "value"].mean() == pytest.approx(expected)
