"""Heatmaps of the landmarks: a light decoder of a ResNet's feature maps, the point that a heatmap means, its loss."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models import ResNet

from models.landmarks import LANDMARK_COUNT

STRIDE = 4  # pixels of the picture per cell of a heatmap
TARGET_SPREAD = (
    1.0  # cells, standard deviation of the heatmap to be learned; below one, the mean falls onto cell centres
)
_DECODER_CHANNELS = 96
_PRIOR_CELLS = 32  # along a side; heatmaps of another size take it resampled


class HeatmapMoments(NamedTuple):
    """Mean position and variance per axis of a heatmap; the unit is its cell, the origin the first one's corner."""

    mean: Float[Tensor, "B K 2"]
    variance: Float[Tensor, "B K"]


class HeatmapDecoder(nn.Module):
    """Feature maps of a ResNet's four stages, the finest first → logits of 68 heatmaps as fine as that.

    The prior says where each landmark lies in aligned crops; what the decoder learns is added to its logarithm.
    """

    prior: Tensor  # (68, S, S), logarithms up to a constant

    def __init__(self, channels: int) -> None:
        """For a ResNet whose last stage has so many channels."""
        super().__init__()
        self.lateral = nn.ModuleList([nn.Conv2d(channels >> shift, _DECODER_CHANNELS, 1) for shift in (3, 2, 1, 0)])
        self.merge = nn.ModuleList([_convolution(_DECODER_CHANNELS) for _ in range(3)])
        self.head = nn.Conv2d(_DECODER_CHANNELS, LANDMARK_COUNT, 1)
        self.register_buffer("prior", torch.zeros(LANDMARK_COUNT, _PRIOR_CELLS, _PRIOR_CELLS))

    def set_prior(self, points: Float[Tensor, "N 68 2"]) -> None:
        """Take the prior from landmarks of many crops, fractions of the side: a round Gaussian for each."""
        cells = points * _PRIOR_CELLS
        variance = cells.var(dim=0).mean(dim=-1) + TARGET_SPREAD**2
        offset = cells.mean(dim=0)[:, None] - _cell_centres(_PRIOR_CELLS, _PRIOR_CELLS, cells)  # (68, S·S, 2)
        logarithm = -offset.square().sum(dim=-1) / (2 * variance[:, None])
        self.prior.copy_(logarithm.unflatten(-1, (_PRIOR_CELLS, _PRIOR_CELLS)))

    def forward(self, maps: list[Tensor]) -> Float[Tensor, "B 68 H W"]:
        """Logits of the heatmaps."""
        lateral = [layer(features) for layer, features in zip(self.lateral, maps, strict=True)]
        merged = lateral.pop()
        for merge, finer in zip(self.merge, reversed(lateral), strict=True):
            merged = merge(finer + interpolate(merged, finer.shape[-2:]))
        learned: Tensor = self.head(merged)
        return learned + interpolate(self.prior[None], learned.shape[-2:], mode="bilinear")


def feature_maps(resnet: ResNet, pictures: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
    """What a ResNet's four stages put out, the finest, `STRIDE` pixels a cell, first."""
    features, maps = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(pictures)))), []
    for stage in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
        features = stage(features)
        maps.append(features)
    return maps


def soft_argmax(logits: Float[Tensor, "B K H W"]) -> HeatmapMoments:
    """Mean and variance of the distribution over cells that the logits describe."""
    height, width = logits.shape[-2:]
    probability = logits.flatten(2).softmax(dim=-1)  # (B, K, H·W)
    cells = _cell_centres(height, width, logits)
    mean = probability @ cells
    second_moment = probability @ cells.square().sum(dim=-1)
    variance = (second_moment - mean.square().sum(dim=-1)).clamp_min(1e-6) / 2
    return HeatmapMoments(mean, variance)


def heatmap_loss(logits: Float[Tensor, "B K S S"], points: Float[Tensor, "B K 2"]) -> Float[Tensor, ""]:
    """Cross-entropy to a Gaussian around each point plus the distance of the heatmap's mean from it; points in cells.

    Points beyond the picture are taught at its border.
    """
    size = logits.shape[-1]
    inside = points.clamp(0, size)
    distance = (inside[:, :, None] - _cell_centres(size, size, logits)).square().sum(dim=-1)  # (B, K, S·S)
    target = (-distance / (2 * TARGET_SPREAD**2)).softmax(dim=-1)
    cross_entropy = -(target * logits.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
    return cross_entropy.mean() + torch.linalg.vector_norm(soft_argmax(logits).mean - inside, dim=-1).mean()


def _convolution(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    )


def _cell_centres(height: int, width: int, like: Tensor) -> Float[Tensor, "N 2"]:
    rows, columns = torch.meshgrid(
        torch.arange(height, device=like.device), torch.arange(width, device=like.device), indexing="ij"
    )
    return torch.stack([columns, rows], dim=-1).flatten(0, 1).to(like.dtype) + 0.5
