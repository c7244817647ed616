"""Verification accuracy and ROC, by hand and from the files of the pipeline."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.reporting.roc import roc_figure
from pipelines.shards import write_rows
from pipelines.verification import verification, verify_held_out
from pipelines.verification_file import read_verification


def test_two_clear_people() -> None:
    features = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    result = verification(features, np.array(["a", "a", "b", "b"], object))
    assert (result.accuracy, result.auc, result.n, result.people) == (1, 1, 6, 2)
    assert [point.true_positive for point in result.roc] == [1] * len(result.roc)


def test_by_hand() -> None:
    # Similarities: same pair ab 0.6; different pairs ac 0.8 and bc 0.
    features = np.array([[1, 0], [0.6, 0.8], [0.8, -0.6]], np.float32)
    result = verification(features, np.array(["x", "x", "y"], object))
    # The best threshold lies between 0 and 0.6: it takes the same pair and one of two different ones.
    assert result.accuracy == pytest.approx((1 + 0.5) / 2)
    assert result.auc == pytest.approx(0.5)
    assert result.n == 3
    assert all(point.true_positive == (point.false_positive >= 0.5) for point in result.roc)
    assert result.roc[0].false_positive == 0 and result.roc[-1].false_positive == 1


@pytest.mark.parametrize("identities", [[], ["a"], ["a", "b"], ["a", "a"]])
def test_both_kinds_of_pairs_are_needed(identities: list[str]) -> None:
    result = verification(np.ones((len(identities), 2), np.float32), np.array(identities, object))
    assert np.isnan(result.accuracy) and np.isnan(result.auc) and result.roc == []


def test_only_held_out_people_with_a_name_are_verified(tmp_path: Path) -> None:
    splits = ["train", "train", "test", "companion-test", "validation", "test", "extra"]
    identities = ["anna", "anna", "bela", "bela", "cora", "", "dino"]
    keys = [f"face-{index}" for index in range(len(splits))]
    write_rows(
        tmp_path / "aligned", pd.DataFrame({"key": keys, "split": splits, "identity": identities, "status": "kept"})
    )
    features = [np.eye(8, dtype=np.float32)[index] for index in (0, 0, 1, 1, 2, 0, 0)]
    write_rows(tmp_path / "features", pd.DataFrame({"key": keys[::-1], "features": features[::-1]}))
    verify_held_out(tmp_path / "aligned", tmp_path / "features", tmp_path / "reports/verification.json")
    result = read_verification(tmp_path / "reports/verification.json")
    assert (result.n, result.people, result.accuracy) == (3, 2, 1)
    assert result.roc[0] == (0, 1)


def test_nobody_held_out_is_written_as_nan(tmp_path: Path) -> None:
    write_rows(tmp_path, pd.DataFrame({"key": ["a"], "split": "train", "identity": "a", "status": "kept"}))
    write_rows(tmp_path / "features", pd.DataFrame({"key": ["a"], "features": [np.ones(2, np.float32)]}))
    verify_held_out(tmp_path, tmp_path / "features", tmp_path / "verification.json")
    result = read_verification(tmp_path / "verification.json")
    assert math.isnan(result.accuracy) and result.roc == [] and result.n == 0


def test_the_curve_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    roc = verification(np.array([[1, 0], [0.6, 0.8], [0.8, -0.6]], np.float32), np.array(["x", "x", "y"], object)).roc
    for name in ("first.png", "second.png"):
        roc_figure(tmp_path / name, roc)
    roc_figure(tmp_path / "other.png", roc[:1])
    first, second, other = ((tmp_path / name).read_bytes() for name in ("first.png", "second.png", "other.png"))
    assert first == second != other
