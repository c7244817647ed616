"""How many pixels of a crop a millimetre takes, which only the twin of AFLW2000-3D knows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.benchmarks.common import Sample
from pipelines.benchmarks.read_aflw2000 import read_annotation

_SCALE = 6  # the last entry of Pose_Para


def crop_pixels_per_mm(benchmark: Path, samples: Sequence[Sample]) -> dict[str, float]:
    """Pixels of the crop for a millimetre at the depth of the face model's origin, by sample; empty for real data.

    A twin keeps its raw files, whose `Pose_Para` ends with the pixels of the photograph for a millimetre of its
    generator's face. Crop and photograph differ by a similarity, whose factor is that of the landmarks' spreads.
    Real files have a `Pose_Para` as well, but its unit is that of a fitted face whose true size nobody measured.
    """
    raw = benchmark / "raw"
    if not raw.is_dir():
        return {}
    seen = [sample for sample in samples if sample.keys]
    return {one.sample: _scale(raw / f"{one.sample}.mat", np.reshape(one.landmarks, (-1, 2))) for one in seen}


def _scale(path: Path, landmarks: NDArray[np.float64]) -> float:
    annotation = read_annotation(path)
    if annotation.pose is None:
        raise ValueError(f"{path}: a twin's file without Pose_Para; run the stage benchmark@aflw2000 again")
    return float(annotation.pose[_SCALE]) * _spread(landmarks) / _spread(annotation.landmarks)


def _spread(points: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(points - points.mean(axis=0)))
