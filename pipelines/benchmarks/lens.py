"""The lens of a calibrated camera: straightens what it bends, so that a camera without one explains the picture."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from kornia.geometry.calibration import undistort_image
from numpy.typing import NDArray

_SAME_SHAPE = 0.01  # largest relative difference between a picture's aspect ratio and that of its calibration


class Lens(NamedTuple):
    """OpenCV's camera matrix and distortion, for pictures of one size."""

    matrix: NDArray[np.float64]  # (3, 3), pixels; the first pixel has its centre at 0
    distortion: NDArray[np.float64]  # (5,) k1 k2 p1 p2 k3
    size: tuple[float, float]  # width and height, pixels


class LensMismatchError(Exception):
    """A calibration that belongs to another picture."""


def lens_from_entries(entries: Mapping[str, Any], view: str, *, where: str) -> Lens | None:
    """The lens of a view in FaceScape's params.json; None when it bends nothing or was not calibrated.

    The camera matrix is 3×3 or, as a page of the data set's documentation says, 4×4. ValueError naming `where`.
    """
    if f"{view}_distortion" not in entries:
        return None
    try:
        distortion = np.asarray(entries[f"{view}_distortion"], np.float64)
        matrix = np.asarray(entries[f"{view}_K"], np.float64)
        size = (float(entries[f"{view}_width"]), float(entries[f"{view}_height"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: view {view} has a distortion but no usable K, width and height ({error!r})"
        ) from None
    if distortion.shape != (5,) or matrix.shape not in ((3, 3), (4, 4)) or min(size) <= 0:
        raise ValueError(
            f"{where}: view {view}: expected 5 numbers of distortion, K of 3×3 or 4×4 and a size,"
            f" got shapes {distortion.shape}, {matrix.shape} and {size}"
        )
    if not (np.isfinite(distortion).all() and np.isfinite(matrix).all()):
        raise ValueError(f"{where}: view {view} has a K or a distortion that is not finite")
    return Lens(matrix[:3, :3], distortion, size) if distortion.any() else None


def straightened(picture: NDArray[np.uint8], lens: Lens) -> NDArray[np.uint8]:
    """The RGB picture (H, W, 3), of any size, as a pinhole camera would have taken it; black where nothing was seen.

    LensMismatchError when the picture has another shape than the calibration.
    """
    height, width = picture.shape[:2]
    scale = np.array([width, height]) / lens.size
    if abs(scale[0] / scale[1] - 1) > _SAME_SHAPE:
        raise LensMismatchError(
            f"a picture of {width} × {height} px with a lens calibrated for {lens.size[0]:g} × {lens.size[1]:g} px:"
            " was it cropped or turned?"
        )
    matrix = lens.matrix.copy()
    matrix[:2] *= scale[:, None]
    matrix[:2, 2] += (scale - 1) / 2  # centres of pixels are at whole numbers, before and after
    image = torch.tensor(picture).permute(2, 0, 1)[None].double()
    found = undistort_image(image, torch.from_numpy(matrix)[None], torch.from_numpy(lens.distortion)[None])
    return found[0].round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()
