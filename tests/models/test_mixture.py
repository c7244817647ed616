"""Mixtures against scikit-learn, and the posterior by hand."""

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture as Estimator

from models.mixture import GaussianMixture, log_density, skin_probability, ycbcr_from_rgb


def _fitted(seed: int) -> tuple[Estimator, GaussianMixture]:
    generator = np.random.default_rng(seed)
    points = np.concatenate([generator.normal(m, 10 + m / 10, (200, 3)) for m in (40 + 20 * seed, 150)])
    estimator = Estimator(3, random_state=0).fit(points)
    numbers = (estimator.weights_, estimator.means_, estimator.covariances_)
    return estimator, GaussianMixture(*(torch.from_numpy(values) for values in numbers))


def test_density_agrees_with_scikit_learn() -> None:
    estimator, mixture = _fitted(0)
    points = np.random.default_rng(9).uniform(0, 255, (50, 3))
    expected = torch.from_numpy(estimator.score_samples(points))
    torch.testing.assert_close(log_density(torch.from_numpy(points), mixture), expected)


def test_posterior_agrees_with_bayes_on_scikit_learn_densities() -> None:
    (one, skin), (two, other) = _fitted(0), _fitted(3)
    points = np.random.default_rng(9).uniform(0, 255, (50, 3))
    likelihoods = [np.exp(estimator.score_samples(points)) for estimator in (one, two)]
    expected = 0.8 * likelihoods[0] / (0.8 * likelihoods[0] + 0.2 * likelihoods[1])
    found = skin_probability(torch.from_numpy(points), skin, other, 0.8)
    torch.testing.assert_close(found, torch.from_numpy(expected))


def test_equal_mixtures_leave_the_prior() -> None:
    _, mixture = _fitted(1)
    assert skin_probability(torch.full((1, 3), 99.0).double(), mixture, mixture, 0.3).item() == pytest.approx(0.3)


def test_probability_stays_finite_far_from_both_mixtures() -> None:
    (_, skin), (_, other) = _fitted(0), _fitted(3)
    assert torch.isfinite(skin_probability(torch.full((1, 3), 1e5).double(), skin, other, 0.5)).all()


def test_ycbcr_of_known_colours() -> None:
    """BT.601, studio range: white (235, 128, 128), black (16, 128, 128), red (81.48, 90.2, 240)."""
    rgb = torch.tensor([[255.0, 255, 255], [0, 0, 0], [255, 0, 0]])
    expected = torch.tensor([[235.0, 128, 128], [16, 128, 128], [81.481, 90.203, 240]])
    torch.testing.assert_close(ycbcr_from_rgb(rgb), expected, atol=1e-3, rtol=0)
