import math

import pytest
import torch

from models.coefficients import CoefficientSizes
from models.networks.regressor import (
    Regressor,
    coefficients_from_raw,
    neutral_coefficients,
    raw_from_coefficients,
    raw_sizes,
    sizes_of,
)

SIZES = CoefficientSizes(6, 5, 4)
MORE = CoefficientSizes(6, 5, 4, lights=3, shininess=7)
FEATURES = {"resnet18": 512, "resnet34": 512, "resnet50": 2048, "mobilenet_v3_small": 1024, "convnext_tiny": 768}


def test_zero_output_is_the_mean_face_in_the_light_of_the_prior() -> None:
    neutral = neutral_coefficients(SIZES, 2)
    for group in (neutral.shape, neutral.expression, neutral.albedo, neutral.euler_angles, neutral.translation):
        assert (group == 0).all()
    assert (neutral.scale == 1).all()
    assert (neutral.sh_coefficients[:, 1:] == 0).all()
    irradiance = neutral.sh_coefficients[:, 0] * 0.5 / math.sqrt(math.pi)
    assert irradiance.min() > 0.5 and irradiance.max() < 1
    assert neutral.light_position.shape == (2, 1, 3) and (neutral.light_position[..., 2] > 0).all()  # in front
    assert (neutral.light_strength == 1).all()
    assert (neutral.shininess == 20).all()


def test_groups_come_in_the_order_of_the_coefficients() -> None:
    lengths = raw_sizes(MORE)
    raw = torch.zeros(1, sum(lengths))
    raw[0, [sum(lengths[:index]) for index in range(len(lengths))]] = 1.0  # the first number of every group
    changed, neutral = coefficients_from_raw(raw, MORE), neutral_coefficients(MORE, 1)
    for name, group, zero in zip(changed._fields, changed, neutral, strict=True):
        difference = (group - zero).flatten()
        first = int(name == "light_strength")  # the first light's strength is fixed
        assert difference[first] > 0
        assert difference.count_nonzero() == 1


def test_further_lights_begin_weak_and_apart() -> None:
    neutral = neutral_coefficients(MORE, 1)
    first, *others = neutral.light_position[0]
    assert neutral.light_strength[0, 0] == 1 and (neutral.light_strength[0, 1:] < 0.2).all()
    torch.testing.assert_close(first, neutral_coefficients(SIZES, 1).light_position[0, 0])
    assert (others[0] - first)[0] == -(others[1] - first)[0] != 0  # left and right of the first


def test_strengths_of_further_lights_stay_between_zero_and_one() -> None:
    for raw in (-20.0, 20.0):
        strengths = coefficients_from_raw(torch.full((1, sum(raw_sizes(MORE))), raw), MORE).light_strength
        assert strengths[0, 0] == 1 and (strengths >= 0).all() and (strengths <= 1).all()


def test_harmonics_are_row_major_nine_by_three() -> None:
    raw = torch.zeros(1, sum(raw_sizes(SIZES)))
    raw[0, sum(raw_sizes(SIZES)[:6]) + 5] = 1.0  # second function, blue
    change = coefficients_from_raw(raw, SIZES).sh_coefficients - neutral_coefficients(SIZES, 1).sh_coefficients
    assert change[0, 1, 2] > 0
    assert change.count_nonzero() == 1


@pytest.mark.parametrize("sizes", [SIZES, MORE])
def test_coefficients_lead_back_to_the_raw_output(sizes: CoefficientSizes) -> None:
    raw = torch.randn(3, sum(raw_sizes(sizes)), generator=torch.Generator().manual_seed(0))
    coefficients = coefficients_from_raw(raw, sizes)
    assert sizes_of(coefficients) == sizes
    torch.testing.assert_close(raw_from_coefficients(coefficients), raw, atol=1e-5, rtol=1e-4)


def test_strengths_of_zero_and_one_have_a_finite_raw_output() -> None:
    extreme = neutral_coefficients(MORE, 1)._replace(light_strength=torch.tensor([[1.0, 0.0, 1.0]]))
    back = coefficients_from_raw(raw_from_coefficients(extreme), MORE)
    torch.testing.assert_close(back.light_strength, extreme.light_strength, atol=1e-5, rtol=0)


def test_scale_and_shininess_stay_positive() -> None:
    far = coefficients_from_raw(torch.full((1, sum(raw_sizes(SIZES))), -20.0), SIZES)
    assert (far.scale > 0).all() and (far.shininess > 0).all()


@pytest.mark.parametrize(("grid", "feature_sizes"), [(1, FEATURES), (4, dict.fromkeys(FEATURES, 16 * 64))])
@pytest.mark.parametrize("backbone", FEATURES)
def test_every_backbone_regresses_all_groups(backbone: str, grid: int, feature_sizes: dict[str, int]) -> None:
    torch.manual_seed(0)
    network = Regressor(backbone, MORE, grid).eval()
    assert network.head.in_features == feature_sizes[backbone]
    with torch.inference_mode():
        coefficients = network(torch.rand(1, 3, 64, 96))  # not what the grid divides
    assert [group.flatten(1).shape[1] for group in coefficients] == [6, 5, 4, 3, 3, 1, 27, 3 * 3, 3, 7]


def test_cells_know_where_something_is_and_the_mean_hardly() -> None:
    pictures = torch.zeros(2, 3, 256, 256)
    pictures[0, :, 64:96, 64:96] = pictures[1, :, 128:160, 160:192] = 1.0  # whole strides of the network apart
    ratios = {}
    for grid in (1, 4):
        torch.manual_seed(0)
        with torch.inference_mode():
            here, there = Regressor("resnet18", SIZES, grid).eval().backbone(pictures)
        ratios[grid] = ((here - there).norm() / here.norm()).item()
    assert ratios[4] > 5 * ratios[1]


@pytest.mark.parametrize("grid", [1, 4])
@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_the_places_of_the_landmarks_are_features_beside_the_others(backbone: str, grid: int) -> None:
    torch.manual_seed(0)
    network = Regressor(backbone, SIZES, grid, landmark_points=True).eval()
    others = 16 * 64 if grid == 4 else FEATURES[backbone]
    assert network.points is not None and network.head.in_features == others + 136
    picture = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        before = network(picture)
        network.head.weight[:, :others] = 0  # what remains is what the points say
        of_points = network(picture)
        network.points.decoder.head.bias += 1  # of a whole heatmap: its mean stays
        same = network(picture)
        network.points.decoder.prior[:, :, :16] += 10  # all landmarks are farther left
        moved = network(picture)
    assert not torch.equal(before.shape, of_points.shape)
    torch.testing.assert_close(same.shape, of_points.shape, atol=1e-5, rtol=0)
    assert (moved.shape - of_points.shape).abs().max() > 1e-3


def test_other_backbones_have_no_maps_for_points() -> None:
    with pytest.raises(ValueError, match="expected a ResNet as backbone, got MobileNetV3"):
        Regressor("mobilenet_v3_small", SIZES, 4, landmark_points=True)


@pytest.mark.parametrize("points", [False, True])
@pytest.mark.parametrize("grid", [1, 4])
def test_an_untrained_network_begins_near_the_prior(grid: int, points: bool) -> None:
    torch.manual_seed(0)
    network = Regressor("resnet18", SIZES, grid, points).eval()
    with torch.inference_mode():
        coefficients = network(torch.rand(2, 3, 96, 96))
    assert coefficients.shape.abs().max() < 0.5
    torch.testing.assert_close(coefficients.scale, torch.ones(2, 1), atol=0.05, rtol=0)


@pytest.mark.parametrize("points", [False, True])
@pytest.mark.parametrize("grid", [1, 4])
def test_the_head_computes_in_32_bits_inside_autocast(grid: int, points: bool) -> None:
    network = Regressor("resnet18", SIZES, grid, points).eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        coefficients = network(torch.rand(1, 3, 64, 64))
    assert all(group.dtype == torch.float32 for group in coefficients)
