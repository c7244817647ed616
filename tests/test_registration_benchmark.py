"""The benchmark of the registration measures what it names, on toy data."""

import numpy as np
import pytest

from benchmarks import registration
from tests.toy import toy_face_arrays


@pytest.fixture(scope="module")
def pair() -> registration.Pair:
    return registration.make_pair(toy_face_arrays(), 600, 1500)


def test_the_truth_has_no_error_and_the_start_has_one(pair: registration.Pair) -> None:
    assert len(pair.mesh.points) == 600 and len(pair.scan.points) == 1500
    assert pair.error_mm(pair.scan_from_mesh) < 1e-9
    assert pair.error_mm(registration._START) > 3.0


def test_both_sides_search_for_the_same_similarity(pair: registration.Pair) -> None:
    ours, other = registration.ours(pair), registration.trimeshs(pair)
    np.testing.assert_allclose(other.rotation @ other.rotation.T, np.eye(3), atol=1e-9)
    assert pair.error_mm(ours) < 0.1 < pair.error_mm(other) < 0.8 * pair.error_mm(registration._START)


def test_every_line_is_measured_in_one_run(pair: registration.Pair) -> None:
    found = {line.name: line for line in registration.lines(pair, rounds=1)}
    assert found["error of ours / trimesh"].met
    times = found["trimesh, ms"].measured / found["ours, ms"].measured
    assert found["time of trimesh / ours"].measured == pytest.approx(times)
    assert found["error of ours / trimesh"].measured == pytest.approx(
        found["ours, mm"].measured / found["trimesh, mm"].measured
    )
