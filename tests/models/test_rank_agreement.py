"""Agreement of two rankings, by hand and against SciPy; errors of corresponding vertices."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import kendalltau

from models.rank_agreement import concordances
from models.vertex_error import vertex_error


def test_the_mean_is_kendalls_tau() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 25))
    assert concordances(first, second).mean() == pytest.approx(kendalltau(first, second).statistic)


def test_agreement_of_three_by_hand() -> None:
    found = concordances(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]))
    np.testing.assert_array_equal(found, [1.0, 0.0, 0.0])  # the last two disagree on each other only


def test_what_has_no_value_is_no_other_and_has_no_agreement() -> None:
    first, second = np.array([1.0, np.nan, 2.0, 3.0]), np.array([1.0, 5.0, 2.0, np.nan])
    np.testing.assert_array_equal(concordances(first, second), [1.0, np.nan, 1.0, np.nan])
    assert np.isnan(concordances(first[:2], second[:2])).all()


def test_a_vertex_error_is_what_no_similarity_explains() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(scale=40, size=(50, 3))
    turned = 1.1 * truth @ Rotation.from_euler("xyz", [0.1, 0.2, -0.3]).as_matrix().T + [5, 6, 7]
    assert vertex_error(turned, truth, with_scale=True) < 1e-9
    larger = np.linalg.norm(0.1 * (truth - truth.mean(axis=0)), axis=1).mean()
    assert vertex_error(turned, truth, with_scale=False) == pytest.approx(larger)
    noisy = truth + rng.normal(scale=0.1, size=truth.shape)
    assert 0.1 < vertex_error(noisy, truth, with_scale=True) < 0.2
