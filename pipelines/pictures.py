"""Small helpers for pictures that people look at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def to_uint8(picture: Float[Tensor, "*B H W"]) -> NDArray[np.uint8]:
    """8-bit values of a picture in 0..1; the axes stay as they are."""
    values: NDArray[np.uint8] = (picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return values


def side_by_side(columns: Sequence[Float[Tensor, "B 3 H W"]]) -> NDArray[np.uint8]:
    """One row per face, one column per picture: (B·H, columns·W, 3)."""
    rows = torch.cat(list(columns), dim=-1)  # (B, 3, H, columns·W)
    return to_uint8(torch.cat(list(rows), dim=-2)).transpose(1, 2, 0)


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture (H, W, 3) or (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(picture)).save(path)
