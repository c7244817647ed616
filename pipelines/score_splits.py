"""Scores split by what is known of each sample: the person's skin tone, and how far the head is turned."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from models.camera import Camera
from models.face_model import FaceModel
from models.landmarks import LANDMARK_COUNT
from models.pose_fit import fitted_pose
from pipelines.benchmarks.common import Sample
from pipelines.coefficients_file import group_from_rows
from pipelines.scoring import SCORE_COLUMNS

SKIN_TONES = ("dark", "medium", "light")  # terciles of the individual typology angle
YAWS = ("yaw0", "yaw15", "yaw30", "yaw60")  # each from this many degrees on, to either side
_YAW_LIMITS = (15.0, 30.0, 60.0)
_YAW = 1  # among pitch, yaw, roll
_POSE_ITERATIONS = 20  # those of the mean face's pose


def by_skin_tone(scores: pd.DataFrame, tones: Mapping[str, float]) -> pd.DataFrame:
    """Scores whose column is `<column>_<tercile of the skin tone>`; samples of unknown tone are left out."""
    known, tone = _known(scores, tones)
    if known.empty:
        return known
    limits = np.quantile(tone[~known.duplicated("sample")], [1 / 3, 2 / 3])
    return _split(known, np.searchsorted(limits, tone, side="right"), SKIN_TONES)


def by_yaw(scores: pd.DataFrame, yaws: Mapping[str, float]) -> pd.DataFrame:
    """Scores whose column is `<column>_<bin of the yaw>`, degrees to either side; unknown yaws are left out."""
    known, yaw = _known(scores, yaws)
    return _split(known, np.searchsorted(_YAW_LIMITS, np.abs(yaw), side="right"), YAWS)


def true_yaws(truth: pd.DataFrame) -> dict[str, float]:
    """Yaw of synthetic crops in degrees, by key; `truth` is indexed by the key. Cropping turns a face by roll only."""
    if truth.empty:
        return {}
    degrees = torch.rad2deg(group_from_rows(truth, "euler_angles")[:, _YAW])
    return dict(zip(truth.index, degrees.tolist(), strict=True))


def landmark_yaws(samples: Sequence[Sample], *, model: FaceModel, camera: Camera, crop_size: int) -> dict[str, float]:
    """Yaw in degrees of the mean face when it meets a sample's true landmarks, by sample."""
    marked = [sample for sample in samples if sample.landmarks]
    if not marked:
        return {}
    true = torch.tensor([sample.landmarks for sample in marked]).unflatten(1, (LANDMARK_COUNT, 2))
    mean_face = model.landmarks(model.mean_shape[None])[0]
    pose = fitted_pose(mean_face, true, camera=camera, size=(crop_size, crop_size), iterations=_POSE_ITERATIONS)
    degrees = torch.rad2deg(pose.euler_angles[:, _YAW]).tolist()
    return {sample.sample: yaw for sample, yaw in zip(marked, degrees, strict=True)}


def _known(scores: pd.DataFrame, values: Mapping[str, float]) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """The scores of samples that have a value, and these values."""
    found = scores["sample"].map(dict(values)).astype(float)
    return scores.loc[found.notna(), SCORE_COLUMNS], np.asarray(found[found.notna()], np.float64)


def _split(known: pd.DataFrame, group: NDArray[np.int_], names: Sequence[str]) -> pd.DataFrame:
    columns = [f"{column}_{names[index]}" for column, index in zip(known["column"], group, strict=True)]
    return known.assign(column=columns).reset_index(drop=True)
