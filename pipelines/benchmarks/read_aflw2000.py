"""Reader of AFLW2000-3D in its own layout (Zhu et al. 2016; Table 5)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from models.landmarks import LANDMARK_COUNT
from pipelines.benchmarks.raw import RawPhotograph, RawSample, required_folder, required_samples

HOW_TO_OBTAIN = (
    "AFLW2000-3D is free for research from the 3DDFA project page of Xiangyu Zhu (AFLW2000-3D.zip, 83 MiB);"
    " or set benchmarks.aflw2000 to 'twin'."
)
LAYOUT = "imageNNNNN.jpg beside imageNNNNN.mat with pt3d_68"
# MATLAB counts pixels from 1, so the centre of the first one is 1; ours is 0.5.
MATLAB_ORIGIN = 0.5


def read_aflw2000(folder: Path) -> list[RawSample]:
    """One sample for each photograph with its 68 true landmarks; a picture without .mat file is left out."""
    required_folder(folder, name="aflw2000", how_to_obtain=HOW_TO_OBTAIN)
    pairs = ((path, path.with_suffix(".mat")) for path in sorted(folder.rglob("*.jpg")))
    samples = [_sample(picture, read_landmarks(mat)) for picture, mat in pairs if mat.is_file()]
    return required_samples(samples, folder=folder, layout=LAYOUT)


def read_landmarks(path: Path) -> NDArray[np.float64]:
    """The 68 landmarks (68, 2) of a .mat file in pixels of the picture, our origin; ValueError without them."""
    try:
        points = np.asarray(loadmat(path, variable_names=["pt3d_68"])["pt3d_68"], np.float64)
    except (KeyError, ValueError, TypeError, MatReadError) as error:
        raise ValueError(f"{path}: no readable pt3d_68 ({error!r})") from error
    if points.shape != (3, LANDMARK_COUNT):
        raise ValueError(f"{path}: expected pt3d_68 of shape (3, {LANDMARK_COUNT}), got {points.shape}")
    return np.ascontiguousarray(points[:2].T - MATLAB_ORIGIN)


def _sample(picture: Path, landmarks: NDArray[np.float64]) -> RawSample:
    photograph = RawPhotograph(picture.stem, picture, picture.stem, landmarks)
    return RawSample(picture.stem, picture.stem, "all", (photograph,))
