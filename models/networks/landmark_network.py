"""The landmark network: a residual encoder, a light decoder to one heatmap a landmark, the point a heatmap means."""

from typing import NamedTuple

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from models.landmarks import MIRRORED
from models.networks.heatmaps import STRIDE, TARGET_SPREAD, HeatmapDecoder, feature_maps, soft_argmax


class LandmarkGuess(NamedTuple):
    """Landmarks in pixels of the crop, and the confidence in each: 1 when its heatmap is as sharp as taught."""

    points: Float[Tensor, "B 68 2"]
    confidence: Float[Tensor, "B 68"]


class LandmarkNetwork(nn.Module):
    """Crops (B, 3, H, W), sRGB in 0..1 → logits of 68 heatmaps; the encoder is one of torchvision's ResNets."""

    def __init__(self, encoder: str, input_size: int) -> None:
        super().__init__()
        if input_size % 32:
            raise ValueError(f"expected an input size that is a multiple of 32 (five halvings), got {input_size}")
        self.input_size = input_size
        self.encoder = torchvision.models.get_model(encoder, weights=None)
        self.decoder = HeatmapDecoder(self.encoder.fc.in_features)
        self.encoder.fc = nn.Identity()

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 68 S S"]:
        """Logits of the heatmaps, a quarter of the input size."""
        size = (self.input_size, self.input_size)
        resized = image if image.shape[-2:] == size else interpolate(image, size, mode="bilinear", antialias=True)
        logits: Tensor = self.decoder(feature_maps(self.encoder, 4 * resized - 2))
        return logits

    def locate(self, image: Float[Tensor, "B 3 H W"]) -> LandmarkGuess:
        """Landmarks in pixels of the crops given: the mean over a crop and its mirror image, which err differently."""
        plain, mirrored = self._read(image), self._read(image.flip(-1))
        points = mirrored.points[:, list(MIRRORED)]
        unmirrored = torch.stack([image.shape[-1] - points[..., 0], points[..., 1]], dim=-1)
        confidence = mirrored.confidence[:, list(MIRRORED)]
        return LandmarkGuess((plain.points + unmirrored) / 2, (plain.confidence + confidence) / 2)

    def _read(self, image: Float[Tensor, "B 3 H W"]) -> LandmarkGuess:
        logits = self(image).float()
        with torch.autocast(image.device.type, enabled=False):  # the means need cells finer than bf16 counts them
            points, spread = soft_argmax(logits)
        confidence = (TARGET_SPREAD**2 / spread).clamp(max=1)
        return LandmarkGuess(points * image.shape[-1] * STRIDE / self.input_size, confidence)
