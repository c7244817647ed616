import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.networks.recognizer import Recognizer, triplet_loss


def _features(count: int, seed: int) -> Tensor:
    return normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1)


def _triplet_by_loops(features: Tensor, identities: list[int], margin: float) -> tuple[float, float, float]:
    """Mean loss, share of active and of semi-hard triplets."""
    losses, semi_hards = [], []
    for anchor, person in enumerate(identities):
        for positive, other in enumerate(identities):
            if positive == anchor or other != person:
                continue
            to_positive = (features[anchor] - features[positive]).square().sum().item()
            negatives = [
                (features[anchor] - features[negative]).square().sum().item()
                for negative, stranger in enumerate(identities)
                if stranger != person
            ]
            semi_hard = [distance for distance in negatives if distance > to_positive]
            to_negative = min(semi_hard) if semi_hard else max(negatives)
            losses.append(max(0.0, to_positive - to_negative + margin))
            semi_hards.append(to_positive < to_negative < to_positive + margin)
    count = len(losses)
    return sum(losses) / count, sum(loss > 0 for loss in losses) / count, sum(semi_hards) / count


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_triplet_loss_takes_the_nearest_farther_negative(seed: int, margin: float) -> None:
    features, identities = _features(9, seed), [0, 0, 1, 1, 1, 2, 2, 0, 3]
    expected = _triplet_by_loops(features, identities, margin)
    found = triplet_loss(features, torch.tensor(identities), margin)
    assert [value.item() for value in found] == pytest.approx(expected)


def test_separated_people_cost_nothing() -> None:
    features = torch.tensor([[1.0, 0], [1, 0], [-1, 0], [-1, 0]])
    assert [value.item() for value in triplet_loss(features, torch.tensor([0, 0, 1, 1]), 0.2)] == [0, 0, 0]


def test_collapsed_features_cost_the_margin() -> None:
    features = torch.tensor([[1.0, 0]]).expand(4, 2)
    loss, active, semi_hard = triplet_loss(features, torch.tensor([0, 0, 1, 1]), 0.2)
    assert loss.item() == pytest.approx(0.2)
    assert active == 1 and semi_hard == 0  # no negative is farther than a positive


def test_triplet_loss_has_a_gradient() -> None:
    features = _features(6, 0).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: triplet_loss(f, torch.tensor([0, 0, 1, 1, 2, 2]), 1.0).loss, [features])


def test_features_have_length_one_whatever_the_size_of_the_picture() -> None:
    torch.manual_seed(0)
    network = Recognizer("resnet18", 16, 64).eval()
    for size in (64, 80):
        with torch.inference_mode():
            features = network(torch.rand(2, 3, size, size))
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(2))
        assert features.shape == (2, 16)


def test_the_gradient_reaches_the_picture() -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 80, 80, requires_grad=True)
    Recognizer("resnet18", 16, 64).eval()(picture)[:, 0].sum().backward()
    assert picture.grad is not None and picture.grad.abs().max() > 0


def test_facenet_has_512_features() -> None:
    with pytest.raises(ValueError, match="inception_resnet_v1 has 512 features, not 128"):
        Recognizer("inception_resnet_v1", 128, 160)
