"""Max pooling by slices is torch's."""

import pytest
import torch
from torch import nn

from models.networks.pooling import SlicedMaxPool


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("shape", [(2, 3, 9, 12), (1, 2, 10, 9), (0, 3, 22, 22), (1, 1, 3, 3)])
def test_maxima_are_those_of_torch(size: int, shape: tuple[int, ...]) -> None:
    features = torch.randn(shape, generator=torch.Generator().manual_seed(0)) - 5  # negative: no zero may win
    expected = nn.MaxPool2d(size, stride=2, ceil_mode=True)(features)
    assert torch.equal(SlicedMaxPool(size)(features), expected)
