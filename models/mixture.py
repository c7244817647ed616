"""Mixtures of Gaussians over colours, and the posterior of skin by a naive Bayes classifier of two of them."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class GaussianMixture(NamedTuple):
    """Components with full covariances; weights sum to one."""

    weights: Float[Tensor, "K"]
    means: Float[Tensor, "K D"]
    covariances: Float[Tensor, "K D D"]


def log_density(points: Float[Tensor, "N D"], mixture: GaussianMixture) -> Float[Tensor, "N"]:
    """Natural logarithm of the mixture's density."""
    factors = torch.linalg.cholesky(mixture.covariances)  # (K, D, D)
    centred = (points[None] - mixture.means[:, None]).transpose(1, 2)  # (K, D, N)
    whitened = torch.linalg.solve_triangular(factors, centred, upper=False)
    log_determinants = factors.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    constants = mixture.weights.log() - log_determinants - points.shape[1] / 2 * math.log(2 * math.pi)
    return torch.logsumexp(constants[:, None] - whitened.square().sum(dim=1) / 2, dim=0)


def skin_probability(
    colours: Float[Tensor, "N D"], skin: GaussianMixture, other: GaussianMixture, prior: float
) -> Float[Tensor, "N"]:
    """p_i, the posterior probability of skin, from its density, that of other colours, and the prior (naive Bayes)."""
    log_odds = math.log(prior) - math.log1p(-prior) + log_density(colours, skin) - log_density(colours, other)
    return torch.sigmoid(log_odds)


def ycbcr_from_rgb(rgb: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """Luma and colour differences of 8-bit sRGB (0 to 255): ITU-R BT.601, studio range, not rounded."""
    red, green, blue = (rgb / 255).unbind(dim=-1)
    luma = 16 + 65.481 * red + 128.553 * green + 24.966 * blue
    blue_difference = 128 - 37.797 * red - 74.203 * green + 112 * blue
    red_difference = 128 + 112 * red - 93.786 * green - 18.214 * blue
    return torch.stack([luma, blue_difference, red_difference], dim=-1)
