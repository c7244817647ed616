"""From the photograph's frame to the crop's: the five-point similarity, and pictures, masks and points moved by it.

Affine maps are 2×3, act on pixel coordinates (x, y, 1), and measure from the corner of the picture, centres at +0.5.
"""

from math import floor

import numpy as np
import torch
from kornia.geometry.transform import warp_affine
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from models.camera import index_from_pixel_affine
from models.landmarks import FIVE_POINT_TEMPLATE
from models.registration import similarity_from_points


def crop_from_five_points(points: NDArray[np.float64], crop_size: int) -> NDArray[np.float64]:
    """The similarity (2, 3) that puts five points (5, 2) onto the template; zero scale if they coincide."""
    template = torch.tensor(FIVE_POINT_TEMPLATE, dtype=torch.float64) * crop_size
    scale, rotation, translation = similarity_from_points(torch.from_numpy(points)[None], template[None])
    return torch.cat([scale[:, None, None] * rotation, translation[..., None]], dim=-1)[0].numpy()


def scale_of(affine: NDArray[np.float64]) -> float:
    """Crop pixels per photograph pixel."""
    return float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))


def warp_picture(picture: NDArray[np.uint8], affine: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """The crop (size, size, 3) of an RGB picture, bilinear, without aliasing; black outside the picture."""
    reduction = max(1, floor(1 / scale_of(affine)))
    if reduction > 1:  # means of whole blocks; measured from the corner, coordinates just shrink
        picture = np.asarray(Image.fromarray(picture).reduce(reduction))
    supersampling = 2 if scale_of(affine) < 1 else 1  # covers the rest of the shrinking, a factor below 2
    from_reduced = supersampling * affine * np.array([reduction, reduction, 1.0])
    image = torch.tensor(picture).permute(2, 0, 1)[None].float()
    warped = _warp(image, from_reduced, supersampling * size, mode="bilinear")
    if supersampling > 1:  # a mean of single pixels costs as much as the warp
        warped = avg_pool2d(warped, supersampling)
    return warped[0].round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def warp_segments(segments: NDArray[np.uint8], affine: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """The crop (size, size) of a mask of class numbers, each pixel that of its nearest; background outside."""
    warped = _warp(torch.tensor(segments)[None, None].float(), affine, size, mode="nearest")
    return warped[0, 0].byte().numpy()


def warp_points(points: NDArray[np.float64], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (..., 2) of the photograph in the crop."""
    return points @ affine[:, :2].T + affine[:, 2]


def _warp(image: Tensor, affine: NDArray[np.float64], size: int, mode: str) -> Tensor:
    by_index = index_from_pixel_affine(torch.from_numpy(affine)[None]).float()
    return warp_affine(image, by_index, (size, size), mode=mode, padding_mode="zeros", align_corners=True)
