import math

import pytest
import torch
from torch import Tensor

from models.coefficients import Coefficients
from models.losses import (
    Losses,
    has_area,
    identity_loss,
    landmark_importance,
    landmark_loss,
    mouth_loss,
    photometric_loss,
    regularization_loss,
    skin_weight,
    total_loss,
    uniform_loss,
)

WEIGHTS = {"id": 0.2, "photo": 1.92, "lmk": 1.8e-3, "mouth": 1.3e-3, "reg": 5e-4, "uniform": 5.0}


def _random(*size: int, seed: int = 0) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _losses(**values: float) -> Losses:
    return Losses(**{name: torch.tensor(values.get(name, 1.0)) for name in Losses._fields})


def test_eq06_is_the_weighted_sum() -> None:
    losses = _losses(id=1, photo=2, lmk=3, mouth=4, reg=5, uniform=6)
    expected = 0.2 * 1 + 1.92 * 2 + 1.8e-3 * 3 + 1.3e-3 * 4 + 5e-4 * 5 + 5.0 * 6
    assert total_loss(losses, WEIGHTS).item() == pytest.approx(expected)


def test_a_weight_of_zero_drops_the_nan_of_its_loss() -> None:
    losses = _losses(id=math.nan)
    assert total_loss(losses, {**WEIGHTS, "id": 0.0}).isfinite()
    assert total_loss(losses, WEIGHTS).isnan()  # a loss that counts is never hidden


def test_no_weights_at_all_give_zero() -> None:
    assert total_loss(_losses(), dict.fromkeys(WEIGHTS, 0.0)).item() == 0


def test_eq07_is_one_minus_the_cosine() -> None:
    features, rendered = _random(3, 5), _random(3, 5, seed=1)
    expected = 0.0
    for a, b in zip(features.tolist(), rendered.tolist(), strict=True):
        product = sum(x * y for x, y in zip(a, b, strict=True))
        expected += 1 - product / (math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b)))
    assert identity_loss(features, rendered).item() == pytest.approx(expected / 3)


def test_identity_ignores_the_length_of_features() -> None:
    features = torch.tensor([[3.0, 4.0]])
    assert identity_loss(features, 7 * features).item() == pytest.approx(0, abs=1e-6)
    assert identity_loss(features, -features).item() == pytest.approx(2)


def _photometric_by_loops(
    image: Tensor, diffuse: Tensor, full: Tensor, mask: Tensor, skin: Tensor, full_weight: float
) -> float:
    batch, _, height, width = image.shape
    losses = []
    for b in range(batch):
        numerator = denominator = full_sum = count = 0.0
        for y in range(height):
            for x in range(width):
                if mask[b, 0, y, x] == 0:
                    continue
                p = skin[b, 0, y, x].item()
                c_skin = 1.0 if p > 0.5 else p
                numerator += c_skin * math.dist(image[b, :, y, x].tolist(), diffuse[b, :, y, x].tolist())
                denominator += c_skin
                full_sum += math.dist(image[b, :, y, x].tolist(), full[b, :, y, x].tolist())
                count += 1
        losses.append(numerator / denominator + full_weight * full_sum / count)
    return sum(losses) / batch


def test_eq08_weighs_the_diffuse_part_by_skin_and_the_full_picture_by_eta() -> None:
    image, diffuse, full = (_random(2, 3, 4, 5, seed=seed) for seed in range(3))
    mask, skin = (_random(2, 1, 4, 5, seed=3) > 0.4).double(), _random(2, 1, 4, 5, seed=4)
    loss = photometric_loss(image, diffuse, full, mask, skin, full_weight=0.7)
    assert loss.item() == pytest.approx(_photometric_by_loops(image, diffuse, full, mask, skin, 0.7))


def test_pixels_outside_the_mask_do_not_count() -> None:
    image, mask = _random(1, 3, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    mask[..., :2] = 1
    changed = image.clone()
    changed[..., 2:] += 10
    loss = photometric_loss(image, changed, changed, mask, torch.ones_like(mask), full_weight=1.0)
    assert loss.item() == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("empty", ["mask", "skin"])
def test_an_empty_mask_costs_nothing_and_has_no_gradient(empty: str) -> None:
    image, rendering = _random(1, 3, 4, 4), _random(1, 3, 4, 4, seed=1).requires_grad_()
    ones, zeros = torch.ones(1, 1, 4, 4, dtype=torch.float64), torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    mask, skin = (zeros, ones) if empty == "mask" else (ones, zeros)
    loss = photometric_loss(image, rendering, rendering.detach(), mask, skin, full_weight=0.0)
    loss.backward()
    assert loss.item() == 0
    assert rendering.grad is not None and (rendering.grad == 0).all()


def test_a_photograph_without_a_mask_leaves_the_others_their_gradient() -> None:
    image, rendering = _random(2, 3, 4, 4), _random(2, 3, 4, 4, seed=1).requires_grad_()
    mask = torch.ones(2, 1, 4, 4, dtype=torch.float64)
    mask[0] = 0
    photometric_loss(image, rendering, rendering, mask, torch.ones_like(mask), full_weight=1.0).backward()
    assert rendering.grad is not None and rendering.grad.isfinite().all()
    assert (rendering.grad[0] == 0).all() and (rendering.grad[1] != 0).any()


def test_equal_pictures_have_a_finite_gradient() -> None:
    image = _random(1, 3, 4, 4)
    rendering = image.clone().requires_grad_()
    ones = torch.ones(1, 1, 4, 4, dtype=torch.float64)
    loss = photometric_loss(image, rendering, rendering, ones, ones, full_weight=1.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-14)
    assert rendering.grad is not None and rendering.grad.isfinite().all()


def test_eq09_is_one_above_a_half_and_the_probability_below() -> None:
    probability = torch.tensor([0.0, 0.2, 0.5, 0.51, 1.0])
    torch.testing.assert_close(skin_weight(probability), torch.tensor([0.0, 0.2, 0.5, 1.0, 1.0]))


def test_eq10_is_the_mean_weighted_distance() -> None:
    predicted, labelled, importance = _random(2, 4, 2), _random(2, 4, 2, seed=1), _random(4, seed=2)
    expected = 0.0
    for b in range(2):
        for k in range(4):
            expected += importance[k].item() * math.dist(predicted[b, k].tolist(), labelled[b, k].tolist())
    assert landmark_loss(predicted, labelled, importance).item() == pytest.approx(expected / 8)


def test_equal_landmarks_cost_nothing_and_have_a_finite_gradient() -> None:
    labelled = _random(1, 4, 2)
    predicted = labelled.clone().requires_grad_()
    loss = landmark_loss(predicted, labelled, torch.ones(4, dtype=torch.float64))
    loss.backward()
    assert loss.item() == 0
    assert predicted.grad is not None and (predicted.grad == 0).all()


def test_outer_mouth_and_eyebrows_are_important() -> None:
    importance = landmark_importance(20.0)
    assert (importance == 20).nonzero().flatten().tolist() == [*range(17, 27), *range(48, 60)]
    assert (importance == 1).sum() == 68 - 22


def test_eq11_is_the_difference_of_the_visible_areas() -> None:
    projected, labelled = _random(2, 1, 3, 4), _random(2, 1, 3, 4, seed=1)
    visible = (_random(2, 1, 3, 4, seed=2) > 0.3).double()
    expected = 0.0
    for b in range(2):
        areas = [0.0, 0.0]
        for y in range(3):
            for x in range(4):
                if visible[b, 0, y, x] == 1:
                    areas[0] += 4.0 * projected[b, 0, y, x].item()
                    areas[1] += 4.0 * labelled[b, 0, y, x].item()
        expected += abs(areas[0] - areas[1])
    assert mouth_loss(projected, labelled, visible, pixel_area=4.0).item() == pytest.approx(expected / 2)


def test_where_a_mouth_is_is_left_to_the_landmarks() -> None:
    projected, labelled, visible = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    projected[..., :2, :3], labelled[..., 5:7, :3] = 1, 1
    assert mouth_loss(projected, labelled, visible, pixel_area=1.0).item() == 0
    labelled[..., 7, :3] = 1
    assert mouth_loss(projected, labelled, visible, pixel_area=1.0).item() == 3


def test_what_hides_a_mouth_does_not_close_it() -> None:
    """The need for the deviation from Eq. 11: behind a hand there is no labelled area, however wide the mouth is."""
    projected, nothing = torch.zeros(1, 1, 8, 8, requires_grad=True), torch.zeros(1, 1, 8, 8)
    drawn = projected + torch.nn.functional.pad(torch.ones(2, 4), (2, 2, 3, 3))  # an open mouth
    hidden = torch.ones(1, 1, 8, 8)
    hidden[..., 2:6, 1:7] = 0
    pulls = []
    for visible in (torch.ones(1, 1, 8, 8), hidden):
        (gradient,) = torch.autograd.grad(
            mouth_loss(drawn, nothing, visible, pixel_area=1.0), projected, retain_graph=True
        )
        pulls.append(gradient[..., 3:5, 2:6].sum().item())
    assert pulls == [8, 0]


def test_a_closed_mouth_costs_nothing_and_has_a_finite_gradient() -> None:
    projected = torch.zeros(1, 1, 8, 8, requires_grad=True)
    loss = mouth_loss(projected, torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8), pixel_area=1.0)
    loss.backward()
    assert loss.item() == 0
    assert projected.grad is not None and projected.grad.isfinite().all()


def _coefficients(batch: int = 2) -> Coefficients:
    sizes = {"shape": (6,), "expression": (5,), "albedo": (4,), "euler_angles": (3,), "translation": (3,)}
    sizes |= {"scale": (1,), "sh_coefficients": (9, 3), "light_position": (1, 3)}
    sizes |= {"light_strength": (1,), "shininess": (1,)}
    return Coefficients(**{name: _random(batch, *size, seed=len(name)) for name, size in sizes.items()})


def test_eq12_sums_the_squares_of_shape_albedo_and_expression() -> None:
    coefficients = _coefficients()
    expected = 0.0
    for b in range(2):
        for group in (coefficients.shape, coefficients.albedo, coefficients.expression):
            for value in group[b].tolist():
                expected += value**2
    assert regularization_loss(coefficients).item() == pytest.approx(expected / 2)


def test_pose_and_light_are_not_regularized() -> None:
    coefficients = _coefficients()
    moved = coefficients._replace(euler_angles=coefficients.euler_angles + 1, shininess=coefficients.shininess + 1)
    assert regularization_loss(moved) == regularization_loss(coefficients)


def _uniform_by_loops(lit: Tensor, light: Tensor, power: int) -> float:
    total = 0.0
    for b in range(len(lit)):
        for colour in range(3):
            mean = lit[b, :, colour].mean().item()
            total += sum((value - mean) ** power for value in lit[b, :, colour].tolist()) / lit.shape[1]
        for band in range(9):
            mean = light[b, band].mean().item()
            total += sum((value - mean) ** power for value in light[b, band].tolist())
    return total / len(lit)


def test_eq13_is_the_squared_deviation_of_lit_colours_and_of_the_colours_of_light() -> None:
    lit, light = _random(2, 7, 3), _random(2, 9, 3, seed=1)
    assert uniform_loss(lit, light).item() == pytest.approx(_uniform_by_loops(lit, light, power=2))


def test_eq13_as_printed_is_zero_for_any_input() -> None:
    for seed in range(3):
        lit, light = 100 * _random(2, 7, 3, seed=seed), 100 * _random(2, 9, 3, seed=seed + 10)
        assert _uniform_by_loops(lit, light, power=1) == pytest.approx(0, abs=1e-10)
        assert uniform_loss(lit, light) > 1


def test_white_light_on_one_colour_is_uniform() -> None:
    lit = torch.tensor([0.5, 0.3, 0.2]).expand(1, 7, 3)
    white = _random(1, 9, 1).float().expand(1, 9, 3)
    assert uniform_loss(lit, white).item() == pytest.approx(0, abs=1e-12)


def test_has_area_tells_empty_masks() -> None:
    mask = torch.zeros(2, 1, 3, 3)
    mask[1, 0, 2, 2] = 1
    assert has_area(mask).tolist() == [False, True]


def test_losses_have_gradients() -> None:
    image, diffuse, full = (_random(1, 3, 2, 3, seed=seed).requires_grad_() for seed in range(3))
    mask, skin = (_random(1, 1, 2, 3, seed=3) > 0.2).double(), _random(1, 1, 2, 3, seed=4)
    points = [_random(1, 4, 2, seed=seed).requires_grad_() for seed in range(2)]
    features = [_random(2, 5, seed=seed).requires_grad_() for seed in range(2)]
    masks = [_random(1, 1, 3, 3, seed=seed).requires_grad_() for seed in range(2)]
    lit, light = _random(1, 5, 3).requires_grad_(), _random(1, 9, 3).requires_grad_()
    groups = [group.requires_grad_() for group in _coefficients(1)]
    importance, visible = _random(4), torch.eye(3)[None, None]
    check = torch.autograd.gradcheck
    assert check(lambda d, f: photometric_loss(image.detach(), d, f, mask, skin, full_weight=0.5), [diffuse, full])
    assert check(lambda p, q: landmark_loss(p, q, importance), points)
    assert check(identity_loss, features)
    assert check(lambda p, q: mouth_loss(p, q, visible, 4.0), masks)
    assert check(uniform_loss, [lit, light])
    assert check(lambda *given: regularization_loss(Coefficients(*given)), groups)
