"""The regression check: every verdict, what fails, and how a reference is accepted."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.params import CheckParams
from pipelines.reference import (
    ComparableParams,
    Metric,
    Reference,
    ReferenceMetric,
    accept,
    accept_files,
    data_fingerprint,
    read_metrics,
    read_reference,
    write_reference,
)
from pipelines.regression_check import Status, check, check_files, markdown, passes
from stages._params import load_params

ROOT = Path(__file__).parents[2]


TOLERANCES = CheckParams(relative_tolerance=0.15, tolerance_in_spreads=3.0)


@pytest.fixture(scope="module")
def comparable() -> ComparableParams:
    params = load_params(ROOT / "params.yaml")
    return ComparableParams(params.face_model, params.photographs, params.benchmarks, params.evaluate)


def reference_of(**metrics: ReferenceMetric) -> Reference:
    return Reference(profile="smoke", reason="first", runs=1, protocol="p", data_fingerprint="f", metrics=metrics)


def expected(value: float, direction: str = "lower", n: int | None = 8) -> ReferenceMetric:
    return ReferenceMetric(value=value, direction=direction, abs_tol=0.1, rel_tol=0.15, n=n)


@pytest.mark.parametrize(
    ("old", "new", "status", "fails"),
    [
        (expected(1.0), Metric(1.14, 8), Status.SAME, False),
        (expected(1.0), Metric(1.16, 8), Status.WORSE, True),
        (expected(0.1), Metric(0.19, 8), Status.SAME, False),  # the absolute tolerance is the larger one
        (expected(1.0), Metric(0.84, 8), Status.BETTER, False),
        (expected(1.0), Metric(0.5, 8), Status.SUSPICIOUS, False),
        (expected(0.9, "higher"), Metric(0.7, 8), Status.WORSE, True),
        (expected(0.5, "higher"), Metric(0.65, 8), Status.BETTER, False),
        (expected(1.0, "equal"), Metric(0.8, 8), Status.WORSE, True),
        (expected(-0.3, "zero"), Metric(-0.01, 8), Status.BETTER, False),
        (expected(-0.3, "zero"), Metric(0.3, 8), Status.SAME, False),
        (expected(-0.01, "zero"), Metric(-0.3, 8), Status.WORSE, True),
        (expected(0.01, "zero"), Metric(-0.3, 8), Status.WORSE, True),
        (expected(1.0), None, Status.MISSING, True),
        (expected(1.0), Metric(math.nan, 8), Status.UNEXPECTED_NAN, True),
        (expected(math.nan), Metric(math.nan, 8), Status.SAME, False),
        (expected(math.nan), Metric(1.0, 8), Status.UNEXPECTED_FINITE, False),
        (expected(1.0), Metric(1.0, 7), Status.SAME, False),  # one face more or less is no other data set
        (expected(1.0), Metric(1.0, 6), Status.NOT_COMPARABLE, True),
        (expected(1.0, n=200), Metric(1.0, 190), Status.SAME, False),
        (expected(1.0, n=200), Metric(1.0, 211), Status.NOT_COMPARABLE, True),
        (expected(1.0, n=None), Metric(1.0, 1), Status.NOT_COMPARABLE, True),
        (expected(1.0, n=1), Metric(1.0, None), Status.NOT_COMPARABLE, True),
        (expected(1.0), Metric(math.inf, 8), Status.WORSE, True),
    ],
)
def test_verdicts(old, new, status, fails):
    verdicts = check({} if new is None else {"metric": new}, reference_of(metric=old))
    assert [verdict.status for verdict in verdicts] == [status]
    assert passes(verdicts) is not fails


def test_a_metric_that_the_reference_lacks_is_named_and_passes():
    verdicts = check({"old": Metric(1.0, 8), "new": Metric(2.0, 8)}, reference_of(old=expected(1.0)))
    assert [(verdict.key, verdict.status) for verdict in verdicts] == [("new", Status.NEW), ("old", Status.SAME)]
    assert passes(verdicts)


def test_the_table_names_what_changed_and_counts_the_rest():
    reference = reference_of(a=expected(1.0), b=expected(1.0), c=expected(1.0))
    text = markdown(check({"a": Metric(2.0, 8), "b": Metric(1.0, 8)}, reference), reference)
    assert "FAILED" in text and "1 worse, 1 missing, 1 same" in text
    assert "| a | **worse** | 1 | 2 | 1 | 0.15 | lower is better |" in text
    assert "| b |" not in text


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Metrics of a run, its label quality, and where reference and report go."""
    metrics = {
        "table1": {
            "full": {"mean": 0.04, "std": 0.01, "n": 12, "paper_mean": 0.024},
            "no_lmk": {"mean": math.nan, "std": math.nan, "n": 12},
        }
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "labels.json").write_text('{"segments": {"face_iou": 0.95}, "photographs": {"kept": 96}}')
    names = {"metrics": "metrics.json", "labels": "labels.json", "reference": "reference", "output": "check.md"}
    return {key: tmp_path / name for key, name in names.items()}


def accept_now(files: dict[str, Path], comparable: ComparableParams) -> Reference:
    accept_files(
        [files["metrics"]],
        [files["labels"]],
        files["reference"],
        reason="why",
        profile="smoke",
        comparable=comparable,
        tolerances=TOLERANCES,
    )
    return read_reference(files["reference"] / "smoke.yaml")


def test_only_means_are_gated_with_the_count_beside_them(files):
    metrics = read_metrics(files["metrics"], files["labels"])
    assert sorted(metrics) == [
        "labels/photographs/kept",
        "labels/segments/face_iou",
        "table1/full/mean",
        "table1/no_lmk/mean",
    ]
    assert metrics["table1/full/mean"] == Metric(0.04, 12)


def test_accepting_chooses_direction_and_tolerance(files, comparable):
    metrics = accept_now(files, comparable).metrics
    assert metrics["table1/full/mean"].direction == "lower"
    assert metrics["labels/segments/face_iou"].direction == "higher"
    assert metrics["labels/photographs/kept"].direction == "equal"
    assert metrics["labels/photographs/kept"].tolerance == 0
    assert metrics["table1/full/mean"].rel_tol == 0.15
    assert math.isnan(metrics["table1/no_lmk/mean"].value)


def test_accepted_metrics_pass_and_a_planted_regression_fails(files, comparable):
    accept_now(files, comparable)
    arguments = (files["metrics"], files["labels"], files["reference"], files["output"])
    assert check_files(*arguments, profile="smoke", comparable=comparable)
    files["metrics"].write_text(files["metrics"].read_text().replace("0.04", "0.08"))
    assert not check_files(*arguments, profile="smoke", comparable=comparable)
    assert "table1/full/mean" in files["output"].read_text()


def test_other_data_parameters_are_not_comparable(files, comparable):
    accept_now(files, comparable)
    other = comparable._replace(photographs=comparable.photographs.model_copy(update={"seed": 99}))
    arguments = (files["metrics"], files["labels"], files["reference"], files["output"])
    assert not check_files(*arguments, profile="smoke", comparable=other)
    assert "Not comparable" in files["output"].read_text()


def test_the_fingerprint_ignores_the_number_of_workers(comparable):
    workers = comparable.photographs.model_copy(update={"workers": comparable.photographs.workers + 1})
    assert data_fingerprint(comparable._replace(photographs=workers)) == data_fingerprint(comparable)


def test_several_seeds_give_mean_spread_and_a_tolerance_from_the_spread(comparable):
    runs = [{"m": Metric(value, 5)} for value in (1.0, 2.0, 3.0)]
    metric = accept(
        runs, profile="smoke", reason="r", comparable=comparable, tolerances=TOLERANCES, earlier=None
    ).metrics["m"]
    assert (metric.value, metric.std, metric.n) == (2.0, 1.0, 5)
    assert metric.abs_tol == 3.0


def test_a_measure_that_is_best_at_zero_has_a_tolerance_of_its_own(comparable):
    run = {"truth/highlight_leak/full/mean": Metric(0.001, 5), "variance/identity/least/full/mean": Metric(0.5, 5)}
    reference = accept([run], profile="smoke", reason="r", comparable=comparable, tolerances=TOLERANCES, earlier=None)
    leak, variance = (reference.metrics[key] for key in run)
    assert (leak.direction, leak.tolerance) == ("zero", 0.02)
    assert (variance.direction, variance.tolerance) == ("higher", 0.075)


def test_what_a_person_wrote_into_the_reference_is_kept(comparable):
    by_hand = reference_of(m=ReferenceMetric(value=1.0, direction="higher", abs_tol=0, rel_tol=0.5, n=5))
    metric = accept(
        [{"m": Metric(2.0, 5)}],
        profile="smoke",
        reason="r",
        comparable=comparable,
        tolerances=TOLERANCES,
        earlier=by_hand,
    ).metrics["m"]
    assert (metric.value, metric.direction, metric.rel_tol) == (2.0, "higher", 0.5)


@pytest.mark.parametrize(
    ("runs", "reason", "message"),
    [
        ([{"m": Metric(1.0)}], " ", "reason"),
        ([{"m": Metric(1.0)}, {"o": Metric(1.0)}], "r", "different metrics"),
        ([{"m": Metric(1.0, 1)}, {"m": Metric(1.0, 2)}], "r", "sample counts"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(runs, reason, message, comparable):
    with pytest.raises(ValueError, match=message):
        accept(runs, profile="smoke", reason=reason, comparable=comparable, tolerances=TOLERANCES, earlier=None)


def test_a_reference_survives_its_file(tmp_path):
    reference = reference_of(a=expected(1.5), b=expected(math.nan, "higher", None))
    write_reference(tmp_path / "smoke.yaml", reference)
    assert str(read_reference(tmp_path / "smoke.yaml")) == str(reference)  # NaN differs from itself


def test_a_missing_metrics_file_is_an_error(files):
    with pytest.raises(FileNotFoundError, match="run the stage"):
        read_metrics(files["metrics"], files["labels"].with_name("nowhere.json"))


def run_check(files: dict[str, Path], *flags: str) -> int:
    paths = [text for name, path in files.items() for text in (f"--{name}", str(path))]
    return subprocess.run([sys.executable, "-m", "stages.check", *paths, *flags], cwd=ROOT, check=False).returncode


def test_exit_codes_with_and_without_the_gate(files):
    assert run_check(files) == 0
    assert "no reference" in files["output"].read_text()
    assert run_check(files, "--gate") == 1
    command = [sys.executable, "-m", "stages.accept", "--reason", "first", "--metrics", str(files["metrics"])]
    command += ["--labels", str(files["labels"]), "--reference", str(files["reference"])]
    subprocess.run(command, cwd=ROOT, check=True)
    assert run_check(files, "--gate") == 0
