"""The landmark network: a residual encoder, a light decoder to one heatmap a landmark, the point a heatmap means."""

from typing import NamedTuple

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from models.landmarks import LANDMARK_COUNT

STRIDE = 4  # input pixels per cell of a heatmap
TARGET_SPREAD = (
    1.0  # cells, standard deviation of the heatmap to be learned; below one, the mean falls onto cell centres
)
DECODER_CHANNELS = 96


class LandmarkGuess(NamedTuple):
    """Landmarks in pixels of the crop, and the confidence in each: 1 when its heatmap is as sharp as taught."""

    points: Float[Tensor, "B 68 2"]
    confidence: Float[Tensor, "B 68"]


class LandmarkNetwork(nn.Module):
    """Crops (B, 3, H, W), sRGB in 0..1 → logits of 68 heatmaps; the encoder is one of torchvision's ResNets.

    The prior says where each landmark lies in aligned crops; what the network learns is added to its logarithm.
    """

    prior: Tensor  # (68, S, S), logarithms up to a constant

    def __init__(self, encoder: str, input_size: int) -> None:
        super().__init__()
        if input_size % 32:
            raise ValueError(f"expected an input size that is a multiple of 32 (five halvings), got {input_size}")
        self.input_size = input_size
        resnet = torchvision.models.get_model(encoder, weights=None)
        self.stem = nn.Sequential(resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool)
        self.stages = nn.ModuleList([resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4])
        width = resnet.fc.in_features
        self.lateral = nn.ModuleList([nn.Conv2d(width >> shift, DECODER_CHANNELS, 1) for shift in (3, 2, 1, 0)])
        self.merge = nn.ModuleList([_convolution(DECODER_CHANNELS) for _ in range(3)])
        self.head = nn.Conv2d(DECODER_CHANNELS, LANDMARK_COUNT, 1)
        self.register_buffer("prior", torch.zeros(LANDMARK_COUNT, input_size // STRIDE, input_size // STRIDE))

    def encoder_weights(self) -> dict[str, Tensor]:
        """The encoder's state under torchvision's names, so that another network can begin with it."""
        parts = {"conv1": self.stem[0], "bn1": self.stem[1]}
        parts |= {f"layer{number}": stage for number, stage in enumerate(self.stages, start=1)}
        return {
            f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()
        }

    def set_prior(self, points: Float[Tensor, "N 68 2"]) -> None:
        """Take the prior from landmarks of many crops: a round Gaussian for each; points in cells."""
        size = self.prior.shape[-1]
        variance = points.var(dim=0).mean(dim=-1) + TARGET_SPREAD**2
        offset = points.mean(dim=0)[:, None] - _cell_centres(size, size, points)  # (68, S·S, 2)
        self.prior.copy_((-offset.square().sum(dim=-1) / (2 * variance[:, None])).unflatten(-1, (size, size)))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 68 S S"]:
        """Logits of the heatmaps, a quarter of the input size."""
        size = (self.input_size, self.input_size)
        resized = image if image.shape[-2:] == size else interpolate(image, size, mode="bilinear", antialias=True)
        features, pyramid = self.stem(4 * resized - 2), []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            features = stage(features)
            pyramid.append(lateral(features))
        merged = pyramid.pop()
        for merge, finer in zip(self.merge, reversed(pyramid), strict=True):
            merged = merge(finer + interpolate(merged, scale_factor=2.0))
        logits: Tensor = self.head(merged) + self.prior
        return logits

    def locate(self, image: Float[Tensor, "B 3 H W"]) -> LandmarkGuess:
        """Landmarks in pixels of the crops given."""
        logits = self(image).float()
        with torch.autocast(image.device.type, enabled=False):  # the means need cells finer than bf16 counts them
            points, spread = soft_argmax(logits)
        confidence = (TARGET_SPREAD**2 / spread).clamp(max=1)
        return LandmarkGuess(points * image.shape[-1] * STRIDE / self.input_size, confidence)


def _convolution(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    )


class HeatmapMoments(NamedTuple):
    """Mean position and variance per axis of a heatmap; the unit is its cell, the origin the first one's corner."""

    mean: Float[Tensor, "B K 2"]
    variance: Float[Tensor, "B K"]


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


def _cell_centres(height: int, width: int, like: Tensor) -> Float[Tensor, "N 2"]:
    rows, columns = torch.meshgrid(
        torch.arange(height, device=like.device), torch.arange(width, device=like.device), indexing="ij"
    )
    return torch.stack([columns, rows], dim=-1).flatten(0, 1).to(like.dtype) + 0.5
