"""Reader of AFLW2000-3D in its own layout (Zhu et al. 2016; Table 5)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from models.landmarks import LANDMARK_COUNT
from pipelines.benchmarks.raw import Omission, RawPhotograph, RawSample, Reading, required_folder, required_samples
from pipelines.params import Aflw2000Annotation

HOW_TO_OBTAIN = (
    "AFLW2000-3D is free for research from the 3DDFA project page of Xiangyu Zhu (AFLW2000-3D.zip, 83 MiB);"
    " or set benchmarks.aflw2000 to 'twin'."
)
LAYOUT = "imageNNNNN.jpg beside imageNNNNN.mat with pt3d_68"
REANNOTATED = "AFLW2000-3D-Reannotated.pts68.npy"
HOW_TO_OBTAIN_REANNOTATED = (
    f"The second annotation, {REANNOTATED}, lies in test.configs of the repository cleardusk/3DDFA: put it beside the"
    " pictures, or set benchmarks.aflw2000_annotation to 'original'."
)
# MATLAB counts pixels from 1, so the centre of the first one is 1; ours is 0.5. The second annotation holds whole
# numbers that lie about 1 below the first's on average: it counts from 0.
MATLAB_ORIGIN = 0.5
_REANNOTATED_ORIGIN = -0.5
_LARGEST_DISAGREEMENT = 0.15  # of the box's size, median over pictures; the real annotations differ by 0.03


class Annotation(NamedTuple):
    """What a .mat file says about its face."""

    landmarks: NDArray[np.float64]  # (68, 2) pixels of the picture, our origin
    roi: NDArray[np.float64] | None  # (4,) a box, not the face's
    pose: NDArray[np.float64] | None  # (7,) pitch, yaw, roll in radians, translation x, y, z, scale


def read_aflw2000(folder: Path, *, annotation: Aflw2000Annotation) -> Reading:
    """One sample for each photograph with its 68 true landmarks of one of the two annotations.

    A picture without .mat file is left out and named, and so is a .mat file without picture.
    """
    required_folder(folder, name="aflw2000", how_to_obtain=HOW_TO_OBTAIN)
    pictures = sorted(folder.rglob("*.jpg"))
    files = sorted(folder.rglob("*.mat"))
    annotated = [path for path in pictures if path.with_suffix(".mat").is_file()]
    omitted = [Omission(path.stem, "no .mat file") for path in pictures if path not in set(annotated)]
    omitted += [Omission(path.stem, "no picture") for path in files if not path.with_suffix(".jpg").is_file()]
    landmarks = [read_annotation(path.with_suffix(".mat")).landmarks for path in annotated]
    if annotation == "reannotated":
        landmarks = _reannotated(folder, landmarks)
    samples = [_sample(picture, points) for picture, points in zip(annotated, landmarks, strict=True)]
    return required_samples(Reading(samples, omitted), folder=folder, layout=LAYOUT)


def read_annotation(path: Path) -> Annotation:
    """The annotation of a .mat file; ValueError when a field is missing, misshapen or not finite."""
    try:
        fields = loadmat(path, variable_names=["pt3d_68", "roi", "Pose_Para"])
    except (ValueError, TypeError, IndexError, MatReadError, NotImplementedError, OSError) as error:
        raise ValueError(f"{path}: not a readable .mat file ({error!r})") from error
    points = _field(path, fields, "pt3d_68", (3, LANDMARK_COUNT))
    if points is None:
        raise ValueError(f"{path}: no pt3d_68; is it a file of AFLW2000-3D?")
    pose = _field(path, fields, "Pose_Para", (1, 7))
    if pose is not None and pose[0, 6] <= 0:
        raise ValueError(f"{path}: expected a positive scale as the seventh number of Pose_Para, got {pose[0, 6]:g}")
    roi = _field(path, fields, "roi", (1, 4))
    return Annotation(
        np.ascontiguousarray(points[:2].T - MATLAB_ORIGIN),
        None if roi is None else roi[0],
        None if pose is None else pose[0],
    )


def _field(path: Path, fields: dict[str, Any], name: str, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    if name not in fields:
        return None
    values = np.asarray(fields[name], np.float64)
    if values.shape == shape[::-1] and 1 in shape:
        values = values.T
    if values.shape != shape or not np.isfinite(values).all():
        what = f"an array of shape {values.shape}" if values.shape != shape else "numbers that are not finite"
        raise ValueError(f"{path}: expected {name} of shape {shape}, got {what}")
    return values


def _reannotated(folder: Path, original: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """The second annotation of all pictures; its rows have no names and are in the order of the files."""
    path = folder / REANNOTATED
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing. {HOW_TO_OBTAIN_REANNOTATED}")
    points = np.load(path, allow_pickle=False).astype(np.float64)
    if points.shape != (len(original), 2, LANDMARK_COUNT) or not np.isfinite(points).all():
        raise ValueError(
            f"{path}: expected finite numbers for each of {len(original)} annotated pictures, 2 × {LANDMARK_COUNT}, got"
            f" an array of shape {points.shape}; its rows have no names, so no picture may be missing"
        )
    landmarks = points.transpose(0, 2, 1) - _REANNOTATED_ORIGIN
    disagreement = float(np.median([_distance(*pair) for pair in zip(landmarks, original, strict=True)]))
    if disagreement > _LARGEST_DISAGREEMENT:
        raise ValueError(
            f"{path}: differs from pt3d_68 by {disagreement:.0%} of the face's box where"
            f" {_LARGEST_DISAGREEMENT:.0%} is the most to expect: are its rows in the order of the file names?"
        )
    return list(landmarks)


def _distance(points: NDArray[np.float64], original: NDArray[np.float64]) -> float:
    """Mean distance of corresponding points, as a fraction of the root of the area of the original's box."""
    size = np.sqrt(np.prod(np.ptp(original, axis=0)))
    return float(np.linalg.norm(points - original, axis=1).mean() / size)


def _sample(picture: Path, landmarks: NDArray[np.float64]) -> RawSample:
    photograph = RawPhotograph(picture.stem, picture, picture.stem, landmarks)
    return RawSample(picture.stem, picture.stem, "all", (photograph,))
