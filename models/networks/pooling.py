"""Max pooling in steps of two, by whole slices instead of window by window."""

from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad


class SlicedMaxPool(nn.Module):
    """The values of `nn.MaxPool2d(size, stride=2, ceil_mode=True)`, which torch computes slowly on a CPU."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, features: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
        """Maxima of the windows, those cut by the lower and right border included."""
        return _maxima(_maxima(features, self.size).mT, self.size).mT


def _maxima(features: Float[Tensor, "*B W"], size: int) -> Float[Tensor, "*B w"]:
    count = -(-(features.shape[-1] - size) // 2) + 1
    missing = 2 * (count - 1) + size - features.shape[-1]
    whole = pad(features, (0, missing), value=-torch.inf) if missing else features
    return reduce(torch.maximum, (whole[..., first : first + 2 * count - 1 : 2] for first in range(size)))
