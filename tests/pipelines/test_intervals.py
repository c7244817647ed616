"""Confidence intervals: subjects are drawn and not samples, differences are paired, and what is not there is said."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.interval_files import interval_text, write_intervals
from pipelines.intervals import IntervalCell, cluster_interval, interval_cells
from pipelines.params import IntervalsParams
from pipelines.scoring import SCORE_COLUMNS
from pipelines.tables import Column, TableSpec

PARAMS = IntervalsParams(confidence=0.95, resamples=2000, seed=0)
SPEC = TableSpec(
    "table9_test",
    "Table 9: errors.",
    "twin; protocol",
    (Column("indoor", "indoor", "mm"), Column("outdoor", "outdoor", "mm")),
    ("full", "no_id", "no_lmk", "prnet"),
    frozenset({"prnet"}),
)
SUBJECTS = {"a": "anna", "b": "ben", "c": "cleo", "d": "anna"}


def cells() -> dict[tuple[str, str], IntervalCell]:
    rows = [
        *(("full", "indoor", sample, value, "ok") for sample, value in zip("abcd", (1.0, 2.0, 3.0, 1.5), strict=True)),
        *(("no_id", "indoor", sample, value, "ok") for sample, value in zip("ab", (1.5, 2.5), strict=True)),
        ("no_id", "indoor", "c", math.nan, "no face"),
        ("no_lmk", "indoor", "a", 7.0, "ok"),
        ("no_lmk", "indoor", "b", math.nan, "diverged"),
        ("no_lmk", "indoor", "c", 9.0, "ok"),
        ("full", "outdoor", "a", 4.0, "ok"),
        ("full", "outdoor", "d", 6.0, "ok"),
    ]
    scores = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    return {(cell.row, cell.column): cell for cell in interval_cells(SPEC, scores, SUBJECTS, PARAMS)}


def test_more_samples_of_the_same_subjects_are_no_more_certain() -> None:
    values = np.random.default_rng(1).normal(size=12)
    people = {f"s{n}": f"p{n}" for n in range(12)}
    often = {f"s{n}-{k}": f"p{n}" for n in range(12) for k in range(10)}
    once = cluster_interval(pd.Series(values, index=list(people)), people, PARAMS)
    ten_times = cluster_interval(pd.Series(values.repeat(10), index=list(often)), often, PARAMS)
    assert ten_times == pytest.approx(once, rel=1e-9)


def test_subjects_weigh_as_much_as_they_have_samples() -> None:
    interval = cluster_interval(pd.Series([0.0, 3.0, 3.0], index=list("bad")), SUBJECTS, PARAMS)
    assert interval == (2.0, 0.0, 3.0)  # the extremes: one of the two is drawn twice


def test_with_many_subjects_the_interval_is_the_normal_one() -> None:
    values = np.random.default_rng(2).normal(5.0, 2.0, size=400)
    alone = {f"s{n}": f"s{n}" for n in range(400)}
    interval = cluster_interval(pd.Series(values, index=list(alone)), alone, PARAMS)
    half = 1.96 * values.std() / math.sqrt(400)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    wider = cluster_interval(
        pd.Series(values, index=list(alone)), alone, PARAMS.model_copy(update={"confidence": 0.99})
    )
    assert wider.high - wider.low > 1.2 * (interval.high - interval.low)


def test_differences_are_over_the_samples_that_both_rows_have() -> None:
    found = cells()["no_id", "indoor"]
    assert (found.samples, found.subjects, found.common_samples) == (2, 2, 2)
    assert (found.mean, found.difference) == (2.0, 0.5)
    assert (found.difference_low, found.difference_high) == (0.5, 0.5)  # each sample is worse by as much
    full = cells()["full", "indoor"]
    assert (full.samples, full.subjects) == (4, 3)
    assert full.difference is None and full.low < full.mean < full.high


def test_a_diverged_row_has_no_interval_and_says_how_many_samples_it_shares() -> None:
    found = cells()["no_lmk", "indoor"]
    assert math.isnan(found.mean) and math.isnan(found.low)
    assert (found.samples, found.common_samples, found.difference) == (3, 2, 6.0)


def test_one_subject_gives_no_interval_and_unbuilt_rows_no_cell() -> None:
    outdoor = cells()["full", "outdoor"]
    assert outdoor.mean == 5.0 and math.isnan(outdoor.low) and math.isnan(outdoor.high)
    assert {row for row, _ in cells()} == {"full", "no_id", "no_lmk"}


def test_files_hold_intervals_differences_and_counts(tmp_path: Path) -> None:
    write_intervals(tmp_path, SPEC, list(cells().values()), PARAMS)
    lines = (tmp_path / "table9_test_intervals.csv").read_text().splitlines()
    assert lines[0].startswith("table,row,column,mean,low,high,samples,subjects,difference,")
    assert lines[2] == "table9_test,no_id,indoor,2,1.5,2.5,2,2,0.5,0.5,0.5,2,mm"
    assert lines[4] == "table9_test,full,outdoor,5,NaN,NaN,2,1,,,,0,mm"
    markdown = (tmp_path / "table9_test_intervals.md").read_text()
    assert "**Table 9: errors, with 95% confidence intervals.**" in markdown
    assert "| method | indoor (mm) | minus full | outdoor (mm) | minus full |" in markdown
    assert "| − id | 2.00 [1.50, 2.50] | +0.500 [+0.500, +0.500] | no data |  |" in markdown
    assert "| − lmk | NaN | +6.000 [+6.000, +6.000] | no data |  |" in markdown
    assert "5.00 (no interval)" in markdown
    assert "twin; protocol. Subjects: 1–3, samples: 2–4. Samples that a row has in common with full: 2." in markdown
    assert r"95\% confidence" in (tmp_path / "table9_test_intervals.tex").read_text()


def test_signs_are_shown_where_they_are_asked_for() -> None:
    assert interval_text(-0.5, -1.0, 0.25, digits=2, sign="+") == "-0.50 [-1.00, +0.25]"
    assert interval_text(0.5, 0.1, 1.0, digits=1) == "0.5 [0.1, 1.0]"
