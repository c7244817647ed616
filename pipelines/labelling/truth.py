"""The truth of synthetic photographs in the frame of their crops: what labelling learns from and is judged by."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from models.landmarks import LANDMARK_COUNT
from pipelines.dataset import Pictures
from pipelines.labelling.warping import warp_points, warp_segments
from pipelines.shards import ShardReader, decode
from pipelines.truth_rows import rows_with_truth


def training_rows(aligned: Path, truth: Path, stage: str) -> pd.DataFrame:
    """Rows of the training crops with truth; ValueError when all photographs are real and nothing is known."""
    rows = rows_with_truth(aligned, truth, "train")
    if rows.empty:
        raise ValueError(
            f"{stage}: no synthetic photograph with truth among the training crops, so there is nothing to learn from;"
            " set photographs.source: synthetic"
        )
    return rows


def affine_of(row: pd.Series) -> NDArray[np.float64]:
    """The map (2, 3) to the crop from its photograph."""
    return np.asarray(row["crop_from_photograph"], np.float64).reshape(2, 3)


def true_landmarks(row: pd.Series) -> NDArray[np.float64]:
    """The 68 landmarks (68, 2) in pixels of the crop."""
    return warp_points(np.asarray(row["landmarks"], np.float64).reshape(LANDMARK_COUNT, 2), affine_of(row))


def true_segments(reader: ShardReader, row: pd.Series, *, size: int, crop_size: int) -> NDArray[np.uint8]:
    """Class numbers (size, size) of the crop, sampled straight from the photograph."""
    content = decode(reader.read(row["photograph"], "segments.png"))
    return warp_segments(content, affine_of(row) * size / crop_size, size)


class SegmentedCrops(Dataset[tuple[Tensor, Tensor]]):
    """Crops, uint8 (3, H, W), with their true segments, uint8 (size, size)."""

    def __init__(self, aligned: Path, truth: Path, rows: pd.DataFrame, size: int) -> None:
        self.pictures = Pictures(aligned, rows["key"].tolist())
        self.truth = ShardReader(truth)
        self.rows = rows
        self.size = size

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture = self.pictures[index]
        segments = true_segments(self.truth, self.rows.iloc[index], size=self.size, crop_size=picture.shape[-1])
        return picture, torch.from_numpy(segments)


class LandmarkedCrops(Dataset[tuple[Tensor, Tensor]]):
    """Crops, uint8 (3, H, W), with their true landmarks, float (68, 2), pixels of the crop."""

    def __init__(self, aligned: Path, rows: pd.DataFrame) -> None:
        self.pictures = Pictures(aligned, rows["key"].tolist())
        self.landmarks = [torch.from_numpy(true_landmarks(row)).float() for _, row in rows.iterrows()]

    def __len__(self) -> int:
        return len(self.landmarks)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.pictures[index], self.landmarks[index]


def evenly_spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` of `count` indices, evenly spread, the same in every run."""
    return sorted({int(index) for index in np.linspace(0, count - 1, min(count, wanted))}) if count else []
