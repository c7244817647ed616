"""The labelling networks' shapes and losses, by hand."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torchvision
from torch import nn

from models.landmarks import MIRRORED
from models.networks.heatmaps import HeatmapDecoder, feature_maps, heatmap_loss, soft_argmax
from models.networks.landmark_network import LandmarkNetwork
from models.networks.segmenter import Segmenter, class_weights, weighted_cross_entropy


def test_cross_entropy_weights_each_pixel_by_its_true_class() -> None:
    logits = torch.zeros(1, 2, 1, 2)
    logits[0, 1, 0, 1] = math.log(3.0)  # the second pixel: probabilities 1/4 and 3/4
    loss = weighted_cross_entropy(logits, torch.tensor([[[0, 1]]]), torch.tensor([2.0, 5.0]))
    assert loss == pytest.approx((2 * math.log(2) + 5 * math.log(4 / 3)) / 2)


def test_class_weights_fall_with_the_root_of_frequency_and_average_to_one() -> None:
    counts = torch.tensor([900.0, 100.0, 0.0])
    weights = class_weights(counts)
    assert weights[1] / weights[0] == pytest.approx(3.0)
    assert weights[2] == 0
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("architecture", ["unet", "unetplusplus"])
def test_segments_have_the_crop_size_and_the_class_numbers(architecture: str) -> None:
    network = Segmenter(architecture, "resnet18", 32).eval()
    assert type(network.network).__name__.lower() == architecture
    with torch.inference_mode():
        segments = network.segments(torch.rand(1, 3, 56, 56))
    assert segments.shape == (1, 56, 56)
    assert 0 <= segments.min() <= segments.max() <= 9


def test_the_decision_takes_back_the_weights_of_training() -> None:
    """Where the weighted posterior says two to one for a class of triple weight, the other one is likelier."""
    network = Segmenter("unet", "resnet18", 32).eval()
    logits = torch.full((1, 10, 32, 32), -20.0)
    logits[:, 0], logits[:, 1] = 0.0, math.log(2.0)
    network.forward = lambda image: logits  # type: ignore[method-assign]
    assert (network.segments(torch.rand(1, 3, 32, 32)) == 1).all()
    network.class_weights[1] = 3.0
    assert (network.segments(torch.rand(1, 3, 32, 32)) == 0).all()


def test_a_class_that_training_never_saw_is_never_labelled() -> None:
    network = Segmenter("unet", "resnet18", 32).eval()
    network.forward = lambda image: torch.zeros(1, 10, 32, 32).index_fill(1, torch.tensor([9]), 50.0)  # type: ignore[method-assign]
    network.class_weights[9] = 0.0
    assert (network.segments(torch.rand(1, 3, 32, 32)) != 9).all()


@pytest.mark.parametrize("network", [partial(Segmenter, "unet"), LandmarkNetwork])
def test_sizes_that_do_not_halve_five_times_are_refused(network: Callable[[str, int], nn.Module]) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        network("resnet18", 100)


def test_soft_argmax_of_a_single_peak_is_its_cell_centre() -> None:
    logits = torch.full((1, 1, 4, 5), -60.0)
    logits[0, 0, 1, 3] = 0
    mean, variance = soft_argmax(logits)
    torch.testing.assert_close(mean[0, 0], torch.tensor([3.5, 1.5]))
    assert variance < 1e-3


def test_soft_argmax_of_two_equal_peaks_is_their_middle_and_knows_its_spread() -> None:
    logits = torch.full((1, 1, 4, 5), -60.0)
    logits[0, 0, 2, [0, 2]] = 0
    mean, variance = soft_argmax(logits)
    torch.testing.assert_close(mean[0, 0], torch.tensor([1.5, 2.5]))
    assert variance.item() == pytest.approx(0.5)  # one squared cell along x, none along y


def test_heatmap_loss_is_least_at_the_taught_gaussian() -> None:
    point = torch.tensor([[[3.3, 4.1]]])
    cells = torch.stack(torch.meshgrid(torch.arange(8) + 0.5, torch.arange(8) + 0.5, indexing="xy"), -1)
    gaussian = -(cells - point[0, 0]).square().sum(-1)[None, None] / 2
    best = heatmap_loss(gaussian, point)
    assert best < heatmap_loss(gaussian.roll(1, -1), point)
    assert best < heatmap_loss(1.2 * gaussian, point)
    assert best < heatmap_loss(0.8 * gaussian, point)


def test_points_beyond_the_picture_are_taught_at_its_border() -> None:
    logits = torch.zeros(1, 1, 8, 8)
    outside, border = torch.tensor([[[-5.0, 4.0]]]), torch.tensor([[[0.0, 4.0]]])
    torch.testing.assert_close(heatmap_loss(logits, outside), heatmap_loss(logits, border))


def test_landmarks_are_in_pixels_of_the_crop() -> None:
    """A network whose heatmaps peak in one known cell says its centre, whatever the size of the crop."""
    network = LandmarkNetwork("resnet18", 64).eval()
    logits = torch.full((1, 68, 16, 16), -60.0)
    logits[:, :, 4, 12] = 0
    crop = torch.zeros(1, 3, 224, 224)
    crop[..., 168:] = 1  # tells the crop from its mirror image
    network.forward = lambda image: logits if image[..., -1].all() else logits.flip(-1)  # type: ignore[method-assign]
    guess = network.locate(crop)
    torch.testing.assert_close(guess.points[0, 0], torch.tensor([12.5 * 14, 4.5 * 14]))
    assert guess.confidence.min() == 1


def test_a_mirrored_crop_has_the_mirrored_landmarks() -> None:
    torch.manual_seed(0)
    network = LandmarkNetwork("resnet18", 64).eval()
    spread = 0.1 * torch.rand(68, 1)  # each landmark is known as well as it is, so that confidences differ
    network.decoder.set_prior(torch.rand(1, 68, 2) + spread * torch.randn(9, 68, 2))
    crops = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        guess, mirrored = network.locate(crops), network.locate(crops.flip(-1))
    swapped = guess.points[:, list(MIRRORED)]
    torch.testing.assert_close(mirrored.points, torch.stack([96 - swapped[..., 0], swapped[..., 1]], dim=-1))
    torch.testing.assert_close(mirrored.confidence, guess.confidence[:, list(MIRRORED)])


def test_flat_heatmaps_are_not_trusted() -> None:
    network = LandmarkNetwork("resnet18", 64).eval()
    network.forward = lambda image: torch.zeros(1, 68, 16, 16)  # type: ignore[method-assign]
    assert network.locate(torch.zeros(1, 3, 64, 64)).confidence.max() < 0.06


def test_landmark_network_has_a_heatmap_of_a_quarter_of_its_input() -> None:
    with torch.inference_mode():
        assert LandmarkNetwork("resnet18", 64).eval()(torch.rand(2, 3, 48, 48)).shape == (2, 68, 16, 16)


def test_landmark_prior_is_a_gaussian_as_wide_as_the_landmarks_scatter() -> None:
    decoder = HeatmapDecoder(64)
    points = torch.tensor([4.5, 9.5]) + torch.tensor([[-2.0, 0], [2, 0], [0, -2], [0, 2]])[:, None].expand(4, 68, 2)
    decoder.set_prior(points / 32)
    assert decoder.prior[7].flatten().argmax() == 9 * 32 + 4
    spread = 4 * 4 / 3 / 2 + 1  # variance per axis, and the cell's own
    assert (decoder.prior[7, 9, 4] - decoder.prior[7, 9, 7]).item() == pytest.approx(9 / (2 * spread), rel=1e-5)


@pytest.mark.parametrize("size", [96, 112, 128, 224])  # whose maps do not always halve
def test_the_prior_means_the_same_places_at_every_size(size: int) -> None:
    decoder = HeatmapDecoder(512).eval()
    nn.init.zeros_(decoder.head.weight)
    nn.init.zeros_(decoder.head.bias)
    places = 0.3 + 0.4 * torch.rand(68, 2, generator=torch.Generator().manual_seed(3))
    decoder.set_prior(places + 0.01 * torch.randn(9, 68, 2, generator=torch.Generator().manual_seed(4)))
    with torch.inference_mode():
        logits = decoder(feature_maps(torchvision.models.resnet18(weights=None), torch.rand(1, 3, size, size)))
    assert logits.shape == (1, 68, size // 4, size // 4)
    torch.testing.assert_close(soft_argmax(logits).mean[0] / (size // 4), places, atol=0.015, rtol=0)


def test_segment_prior_is_the_frequency_of_each_class_at_each_pixel() -> None:
    network = Segmenter("unet", "resnet18", 32)
    counts = torch.zeros(10, 32, 32)
    counts[1], counts[7] = 60, 30
    network.set_prior(counts)
    assert network.prior.exp().sum(dim=0).allclose(torch.ones(32, 32))
    assert network.prior[:, 5, 5].exp()[[0, 1, 7]].tolist() == pytest.approx([0.01, 0.61, 0.31])


def test_priors_are_part_of_the_network_and_reach_its_answer() -> None:
    network = Segmenter("unet", "resnet18", 32).eval()
    image = torch.rand(1, 3, 32, 32)
    counts = torch.zeros(10, 32, 32)
    counts[3] = 1e9
    network.set_prior(counts)
    with torch.inference_mode():
        assert (network.segments(image) == 3).all()
    assert "prior" in network.state_dict()


def test_landmark_network_can_learn_one_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    image, points = torch.rand(2, 3, 64, 64, generator=generator), 16 * torch.rand(2, 68, 2, generator=generator)
    torch.manual_seed(0)
    network = LandmarkNetwork("resnet18", 64)
    optimizer = torch.optim.Adam(network.parameters(), lr=3.0e-3)
    losses = []
    for _ in range(25):
        loss = heatmap_loss(network(image), points)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_feature_maps_are_those_of_torchvisions_network() -> None:
    network = LandmarkNetwork("resnet18", 64).eval()
    image = torch.rand(2, 3, 64, 96)
    maps = feature_maps(network.encoder, image)
    assert [tuple(one.shape[1:]) for one in maps] == [(64, 16, 24), (128, 8, 12), (256, 4, 6), (512, 2, 3)]
    torch.testing.assert_close(network.encoder(image), maps[-1].mean(dim=(2, 3)))
