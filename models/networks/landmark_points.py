"""Where the landmarks are, as features of another network.

Two neighbours say nearly the same: what of their places tells faces apart, hides behind what both do when a face moves.
So the features are the principal components of the 136 coordinates, all brought to a spread of about one.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.landmarks import LANDMARK_COUNT
from models.networks.heatmaps import HeatmapDecoder, soft_argmax

POINT_FEATURES = 2 * LANDMARK_COUNT

_SPREAD = 0.05  # of a coordinate, in sides of the picture, as long as nothing else is known
_NOISE = 0.01  # of a coordinate, in sides: components that vary less are not brought to a spread of one


class LandmarkPoints(nn.Module):
    """Feature maps of a ResNet's four stages, the finest first → (B, 136): the landmarks, uncorrelated over faces."""

    mean: Tensor  # (136,), sides of the picture
    components: Tensor  # (136, 136), one a column

    def __init__(self, channels: int) -> None:
        """For a ResNet whose last stage has so many channels."""
        super().__init__()
        self.decoder = HeatmapDecoder(channels)
        self.register_buffer("mean", torch.full((POINT_FEATURES,), 0.5))
        self.register_buffer("components", torch.eye(POINT_FEATURES) / _SPREAD)

    def set_spread(self, points: Float[Tensor, "N 68 2"]) -> None:
        """Take mean and components from landmarks of many crops, in sides of the picture."""
        places = points.flatten(1).double()
        noise = _NOISE**2 * torch.eye(POINT_FEATURES, dtype=places.dtype)
        variances, directions = torch.linalg.eigh(torch.cov(places.mT) + noise)
        self.mean.copy_(places.mean(dim=0))
        self.components.copy_(directions / variances.sqrt())

    def forward(self, maps: list[Tensor]) -> Float[Tensor, "B 136"]:
        """In 32 bits, whatever precision the maps have: the means need cells finer than bf16 counts them."""
        logits = self.decoder(maps).float()
        with torch.autocast(logits.device.type, enabled=False):
            columns, rows = soft_argmax(logits).mean.unbind(dim=-1)
            places = torch.stack([columns / logits.shape[-1], rows / logits.shape[-2]], dim=-1)
            return (places.flatten(1) - self.mean) @ self.components
