"""The published skin mixtures against numbers of their authors' programs and tables."""

from pathlib import Path

import pytest
import torch

from models.mixture import log_density, skin_probability, ycbcr_from_rgb
from pipelines.labelling.published_mixtures import PUBLISHED, published_mixtures
from pipelines.labelling.skin_mixture import fit_skin, load_skin_mixtures
from pipelines.params import FitSkinParams

# RGB, 255 p of Deng's program with its prior of 0.8, and Jones and Rehg's ratio of densities.
_EXPECTED = (
    ((224, 172, 105), 250, 11.40),
    ((141, 85, 36), 239, 7.33),
    ((255, 219, 172), 249, 33.3),
    ((60, 40, 30), 194, 0.504),
    ((200, 200, 200), 10, 0.026),
    ((230, 150, 140), 254, 45.4),
)


@pytest.mark.parametrize(("rgb", "byte", "ratio"), _EXPECTED)
def test_values_are_the_authors(rgb: tuple[int, int, int], byte: int, ratio: float) -> None:
    colour = ycbcr_from_rgb(torch.tensor([rgb]).double())
    assert round(255 * skin_probability(colour, *published_mixtures("deng2019"), 0.8).item()) == byte
    skin, other = published_mixtures("jones_rehg")
    found = (log_density(colour, skin) - log_density(colour, other)).exp().item()
    assert found == pytest.approx(ratio, rel=0.03)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_pair_takes_the_place_of_the_fit(tmp_path: Path, name: str) -> None:
    """The crops are not even opened."""
    params = FitSkinParams.model_validate(
        {"mixtures": name, "components": 2, "pixels": 10, "skin_prior": 0.8, "seed": 1}
    )
    missing = tmp_path / "missing"
    fit_skin(missing, missing, missing, tmp_path / "skin.json", params=params)
    mixtures = load_skin_mixtures(tmp_path / "skin.json")
    assert mixtures.prior == 0.8
    for found, expected in zip(mixtures[:2], published_mixtures(name), strict=True):
        torch.testing.assert_close(found.means, expected.means, atol=1e-6, rtol=0)


def test_an_unknown_pair_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one of deng2019, jones_rehg, got 'hsv'"):
        published_mixtures("hsv")
