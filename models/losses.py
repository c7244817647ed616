"""The six losses of the paper and their sum (Eqs. 6 to 13); every function returns the mean over the batch."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from models.coefficients import Coefficients
from models.colour_distance import colour_distance
from models.landmarks import LANDMARK_COUNT, LANDMARKS


class Losses(NamedTuple):
    """One value per loss, unweighted; the field names are the paper's subscripts."""

    id: Float[Tensor, ""]
    photo: Float[Tensor, ""]
    lmk: Float[Tensor, ""]
    mouth: Float[Tensor, ""]
    reg: Float[Tensor, ""]
    uniform: Float[Tensor, ""]


def total_loss(losses: Losses, weights: dict[str, float]) -> Float[Tensor, ""]:
    """Weighted sum of the six losses (Eq. 6). A loss with weight zero is left out, so that its NaN cannot spread."""
    terms = [weights[name] * value for name, value in losses._asdict().items() if weights[name] != 0]
    return torch.stack(terms).sum() if terms else losses.reg * 0


def identity_loss(features: Float[Tensor, "B D"], rendered_features: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """One minus the cosine between the recogniser's features of photograph and rendering (Eq. 7); 0 to 2."""
    return (1 - cosine_similarity(features, rendered_features, dim=-1)).mean()


def photometric_loss(
    image: Float[Tensor, "B 3 H W"],
    diffuse: Float[Tensor, "B 3 H W"],
    full: Float[Tensor, "B 3 H W"],
    mask: Float[Tensor, "B 1 H W"],
    skin_probability: Float[Tensor, "B 1 H W"],
    full_weight: float,
) -> Float[Tensor, ""]:
    """Colour distance of the diffuse and of the full rendering to the photograph, both over the mask M (Eq. 8).

    `image`, `diffuse` (diffuse part alone) and `full` (diffuse plus specular) are sRGB in 0..1; `mask` is I_face ∩
    I_project, `full_weight` is eta.

    Deviation: where the mask of a photograph is empty, Eq. 8 divides zero by zero; such a photograph counts as zero.
    """
    weight = skin_weight(skin_probability) * mask
    diffuse_term = _masked_mean(colour_distance(image, diffuse), weight)
    full_term = _masked_mean(colour_distance(image, full), mask)
    return (diffuse_term + full_weight * full_term).mean()


def skin_weight(skin_probability: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """C_skin: one where skin is more likely than not, else the probability itself (Eq. 9)."""
    return torch.where(skin_probability > 0.5, torch.ones_like(skin_probability), skin_probability)


def landmark_loss(
    predicted: Float[Tensor, "B K 2"],
    labelled: Float[Tensor, "B K 2"],
    importance: Float[Tensor, "K"],
) -> Float[Tensor, ""]:
    """Mean weighted distance between projected and labelled landmarks (Eq. 10).

    Both point sets are in pixels of the crop, x to the right and y down.
    """
    distance = torch.linalg.vector_norm(predicted - labelled, dim=-1)
    return (importance * distance).mean()


def landmark_importance(important: float) -> Float[Tensor, "68"]:
    """mu of Eq. 10: `important` on outer mouth and eyebrows, one elsewhere."""
    importance = torch.ones(LANDMARK_COUNT)
    for name in ("outer_mouth", "right_eyebrow", "left_eyebrow"):
        importance[list(LANDMARKS[name])] = important
    return importance


def mouth_loss(
    projected: Float[Tensor, "B 1 H W"],
    labelled: Float[Tensor, "B 1 H W"],
    visible: Float[Tensor, "B 1 H W"],
    pixel_area: float,
) -> Float[Tensor, ""]:
    """By how much the areas of the projected and of the labelled inner mouth differ, in pixels of the crop (Eq. 11).

    `projected` and `labelled` say how much of a pixel is inner mouth, `visible` where the photograph would show it;
    `pixel_area` is the area of one pixel of these masks in pixels of the crop. Areas are numbers: a mouth of the right
    size in the wrong place costs nothing here, its place is a matter of the landmarks (Eq. 10).

    Deviation: only the visible parts are compared. A mouth behind a hand has no labelled area, so that Eq. 11 alone
    would close it.
    """
    difference = ((projected - labelled) * visible).sum(dim=(1, 2, 3))
    return pixel_area * difference.abs().mean()


def regularization_loss(coefficients: Coefficients) -> Float[Tensor, ""]:
    """Sum of the squared shape, albedo and expression coefficients (Eq. 12)."""
    groups = (coefficients.shape, coefficients.albedo, coefficients.expression)
    return torch.stack([group.square().sum(dim=-1) for group in groups]).sum(dim=0).mean()


def uniform_loss(lit_diffuse: Float[Tensor, "B T 3"], sh_coefficients: Float[Tensor, "B 9 3"]) -> Float[Tensor, ""]:
    """Variance of the lit diffuse colours plus the colour variance of each harmonic (Eq. 13).

    Deviation: as printed, Eq. 13 sums signed deviations from a mean, which is zero for any input; here the deviations
    are squared.
    """
    mean_colour = lit_diffuse.mean(dim=1, keepdim=True)
    colour_variance = (lit_diffuse - mean_colour).square().sum(dim=-1).mean(dim=-1)
    mean_light = sh_coefficients.mean(dim=-1, keepdim=True)
    light_variance = (sh_coefficients - mean_light).square().sum(dim=(-1, -2))
    return (colour_variance + light_variance).mean()


def has_area(mask: Float[Tensor, "B 1 H W"]) -> Bool[Tensor, "B"]:
    """Which masks of a batch are not empty."""
    return mask.flatten(1).any(dim=-1)


def _masked_mean(values: Float[Tensor, "B 1 H W"], weight: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B"]:
    total = weight.sum(dim=(1, 2, 3))
    return (values * weight).sum(dim=(1, 2, 3)) / torch.where(total > 0, total, torch.ones_like(total))
