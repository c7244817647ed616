"""What each variant of the training leaves out of the paper's: the rows of the ablation, and a control."""

from collections.abc import Mapping
from typing import NamedTuple

import torch

from models.coefficients import Coefficients
from pipelines.params import LossName, TrainParams, Variant


class LeftOut(NamedTuple):
    """What a variant does without."""

    losses: tuple[LossName, ...] = ()
    highlight: bool = False  # specular albedo, its light, and the term of Eq. 8 that sees them


LEFT_OUT: Mapping[Variant, LeftOut] = {
    "full": LeftOut(),
    "no_id": LeftOut(losses=("id",)),
    "no_photo": LeftOut(losses=("photo",)),
    "no_lmk": LeftOut(losses=("lmk",)),
    "no_mouth": LeftOut(losses=("mouth",)),
    "no_lmk_mouth": LeftOut(losses=("lmk", "mouth")),  # Table 2 of the paper has this one in place of both
    "no_reg": LeftOut(losses=("reg",)),
    "no_uniform": LeftOut(losses=("uniform",)),
    # Deep3DFaceRecon's image model ("WSL" in the paper's tables): diffuse albedo in harmonics, colours compared by skin
    # weight, no inner mouth. The uniform loss stays: there, too, uneven albedo and coloured light cost something.
    "wsl_control": LeftOut(losses=("mouth",), highlight=True),
}


def variant_weights(params: TrainParams, variant: Variant) -> dict[str, float]:
    """Loss weights of Eq. 6 for a variant: zero for the losses it leaves out."""
    weights = params.weights.model_dump()
    return {name: 0.0 if name in LEFT_OUT[variant].losses else weight for name, weight in weights.items()}


def variant_full_weight(params: TrainParams, variant: Variant) -> float:
    """Eta of Eq. 8 for a variant: zero without highlight, because the full rendering is then the diffuse one again."""
    return 0.0 if LEFT_OUT[variant].highlight else params.full_weight


def modelled(coefficients: Coefficients, variant: Variant) -> Coefficients:
    """Coefficients as the image model of a variant has them: without highlight, specular lights of strength zero."""
    if not LEFT_OUT[variant].highlight:
        return coefficients
    return coefficients._replace(light_strength=torch.zeros_like(coefficients.light_strength))
