"""Registration of point sets: the closed-form similarity."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Similarity(NamedTuple):
    """target ≈ scale · rotation · source + translation, acting on column vectors."""

    scale: Float[Tensor, "B"]
    rotation: Float[Tensor, "B D D"]
    translation: Float[Tensor, "B D"]


def similarity_from_points(source: Float[Tensor, "B N D"], target: Float[Tensor, "B N D"]) -> Similarity:
    """The similarity without reflection that moves source onto target with least squared distances (Umeyama).

    Any dimension; the units are those of the points. Where the source points coincide the scale is zero.
    """
    source_mean, target_mean = source.mean(dim=1, keepdim=True), target.mean(dim=1, keepdim=True)
    source_centred, target_centred = source - source_mean, target - target_mean
    left, singular_values, right = torch.linalg.svd(target_centred.transpose(1, 2) @ source_centred)
    signs = torch.ones_like(singular_values)
    signs[:, -1] = torch.linalg.det(left @ right).sign()  # -1 turns the best reflection into the best rotation
    rotation = (left * signs[:, None]) @ right
    spread = source_centred.square().sum(dim=(1, 2)).clamp_min(torch.finfo(source.dtype).tiny)
    scale = (singular_values * signs).sum(dim=1) / spread
    translation = target_mean - scale[:, None, None] * source_mean @ rotation.transpose(1, 2)
    return Similarity(scale, rotation, translation[:, 0])
