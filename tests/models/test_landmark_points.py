import pytest
import torch
from torch import Tensor

from models.networks.heatmaps import HeatmapMoments, feature_maps, heatmap_loss, soft_argmax
from models.networks.landmark_network import LandmarkNetwork
from models.networks.landmark_points import LandmarkPoints


def _scattered(count: int, seed: int) -> Tensor:
    """Landmarks that mostly move together, in sides of the picture."""
    generator = torch.Generator().manual_seed(seed)
    middle = 0.2 + 0.6 * torch.rand(68, 2, generator=torch.Generator().manual_seed(7))
    together = 0.05 * torch.randn(count, 1, 2, generator=generator)
    return middle + together + 0.02 * torch.randn(count, 68, 2, generator=generator)


def _at(points: LandmarkPoints, places: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """The features when the heatmaps, 24 × 40 cells, mean these places."""
    means = places * torch.tensor([40.0, 24.0])
    monkeypatch.setattr(
        "models.networks.landmark_points.soft_argmax", lambda logits: HeatmapMoments(means, means[..., 0])
    )
    monkeypatch.setattr(points.decoder, "forward", lambda maps: torch.zeros(len(places), 68, 24, 40))
    return points([])


def test_features_are_uncorrelated_with_a_spread_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    points = LandmarkPoints(64)
    points.set_spread(_scattered(5000, seed=0))
    features = _at(points, _scattered(5000, seed=1), monkeypatch)
    assert features.shape == (5000, 136)
    assert features.mean(dim=0).abs().max() < 0.1
    covariance = torch.cov(features.mT)
    spread = covariance.diagonal().sqrt()
    assert spread[-2:].allclose(torch.ones(2), atol=0.05)  # all together
    assert (spread > 0.7).all() and (spread < 1.05).all()  # little above the noise: a little less
    assert (covariance - covariance.diagonal().diag()).abs().max() < 0.1


def test_what_varies_less_than_noise_is_not_blown_up(monkeypatch: pytest.MonkeyPatch) -> None:
    points = LandmarkPoints(64)
    still = _scattered(1, seed=0).expand(100, -1, -1)
    points.set_spread(still)
    assert _at(points, still + 0.01, monkeypatch).abs().max() < 20


def test_without_a_known_spread_the_places_are_measured_from_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    points = LandmarkPoints(64)
    features = _at(points, torch.full((1, 68, 2), 0.6), monkeypatch)
    torch.testing.assert_close(features, torch.full((1, 136), 2.0), atol=1e-4, rtol=0)


def test_points_tell_places_better_than_cells_of_the_same_network() -> None:
    """The deviation of `regressor.landmark_points`: a linear reading of either, of a network that learned to point."""
    torch.manual_seed(0)
    network = LandmarkNetwork("resnet18", 64)
    optimizer = torch.optim.Adam(network.parameters(), lr=2.0e-3)
    for step in range(60):
        pictures, places = _dots(16, seed=step)
        loss = heatmap_loss(network(pictures), (places * 16)[:, None].expand(-1, 68, -1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    errors = {}
    with torch.inference_mode():
        (pictures, places), (others, wanted) = _dots(300, seed=1000), _dots(100, seed=1001)
        for name in ("cells", "points"):
            known, asked = (_features(network, batch, name) for batch in (pictures, others))
            errors[name] = (_ridge(known, places, asked) - wanted).norm(dim=1).mean().item()
    assert errors["points"] < 0.7 * errors["cells"]


def _dots(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise with one soft dot, and its place in sides of the picture."""
    generator = torch.Generator().manual_seed(seed)
    places = 0.3 + 0.4 * torch.rand(count, 2, generator=generator)
    axis = (torch.arange(64) + 0.5) / 64
    across, down = ((axis - places[:, None, index]).square() for index in (0, 1))
    dot = torch.exp(-(across[:, None, :] + down[:, :, None]) / (2 * 0.04**2))
    return 0.3 * torch.rand(count, 3, 64, 64, generator=generator) + 0.7 * dot[:, None], places


def _features(network: LandmarkNetwork, pictures: Tensor, name: str) -> Tensor:
    maps = feature_maps(network.encoder, 4 * pictures - 2)
    if name == "cells":  # two by two: all that there are at this size
        return maps[-1].flatten(1)
    return soft_argmax(network.decoder(maps)).mean.flatten(1) / 16


def _ridge(known: Tensor, wanted: Tensor, asked: Tensor) -> Tensor:
    """What a linear regression of the known features says to the ones asked, the best of some penalties."""
    mean, spread = known.mean(dim=0), known.std(dim=0) + 1e-6
    known, asked = ((one - mean) / spread for one in (known, asked))
    gram = known.mT @ known
    weights = torch.linalg.solve(gram + 10 * torch.eye(len(gram)), known.mT @ (wanted - wanted.mean(dim=0)))
    return asked @ weights + wanted.mean(dim=0)
