"""One number for one sample: the form of all score tables, and the scores of the mouth's landmarks.

Every score table has the columns `row` (the method), `column` (of the table), `sample`, `value` and `status`: "ok",
"diverged" (no result, value NaN), "no face" (no crop to predict on; not counted). Shapes may also have "wrong size"
(not in mm, value NaN) and "no landmarks" (a scan without those that the protocol needs; not counted).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from models.camera import Camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.landmarks import LANDMARK_COUNT
from models.renderer import landmark_pixels, pose_face
from models.scores import box_size, mouth_error
from pipelines.benchmarks.common import read_samples
from pipelines.coefficients_file import coefficients_from_rows, read_coefficients

OK, DIVERGED, NO_FACE, NO_LANDMARKS = "ok", "diverged", "no face", "no landmarks"
_BATCH = 32
SCORE_COLUMNS = ["row", "column", "sample", "value", "status"]


class MethodPredictions(NamedTuple):
    """Where a method's predictions lie."""

    method: str
    folder: Path

    def coefficients(self, benchmark: str) -> pd.DataFrame:
        """The coefficient table of one benchmark."""
        return read_coefficients(self.folder / "coefficients.parquet", benchmark)


def joined(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Score tables below each other."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=SCORE_COLUMNS)


def is_finite(coefficients: Coefficients) -> NDArray[np.bool_]:
    """Which faces (B,) have a result: all their coefficients are finite."""
    finite = torch.stack([group.flatten(1).isfinite().all(dim=1) for group in coefficients]).all(dim=0)
    return np.asarray(finite.numpy())


def mouth_scores(
    predictions: MethodPredictions,
    benchmark: Path,
    *,
    model: FaceModel,
    camera: Camera,
    crop_size: int,
    pixels_per_mm: Mapping[str, float],
) -> pd.DataFrame:
    """Table 5: distance of projected inner-mouth landmarks to the true ones, pixels of the crop and % of the box.

    Also in mm for samples whose crops have a known scale, `pixels_per_mm`.
    """
    samples = read_samples(benchmark)
    seen = {sample.keys[0]: sample for sample in samples if sample.keys}
    columns = ["px", "box", "mm"] if pixels_per_mm else ["px", "box"]
    table = predictions.coefficients("aflw2000")
    rows: list[tuple[str, str, str, float, str]] = []
    for keys, coefficients in finite_batches(table, f"mouth {predictions.method}"):
        projected = landmark_pixels(model, pose_face(model, coefficients, camera), crop_size)
        true = torch.tensor([seen[key].landmarks for key in keys]).unflatten(1, (LANDMARK_COUNT, 2))
        error = mouth_error(projected, true)
        names = [seen[key].sample for key in keys]
        scale = torch.tensor([pixels_per_mm.get(name, np.nan) for name in names])
        measured = {"px": error, "box": 100 * error / box_size(true), "mm": error / scale}
        for column in columns:
            values = zip(names, measured[column].tolist(), strict=True)
            rows += [(predictions.method, column, name, value, OK) for name, value in values]
    table = table.assign(key=table["key"].map({key: sample.sample for key, sample in seen.items()}))
    scores = with_diverged(rows, table, predictions.method, columns=columns)
    unseen = [sample.sample for sample in samples if not sample.keys]
    return _extended(scores, [(predictions.method, c, s, np.nan, NO_FACE) for s in unseen for c in columns])


def finite_batches(table: pd.DataFrame, title: str) -> Iterator[tuple[list[str], Coefficients]]:
    """Rows with a result, in batches, without gradients."""
    finite = is_finite(coefficients_from_rows(table)) if len(table) else np.zeros(0, bool)
    usable = table[finite]
    for start in tqdm(range(0, len(usable), _BATCH), desc=title, unit="batch"):
        chunk = usable.iloc[start : start + _BATCH]
        with torch.inference_mode():
            yield chunk["key"].tolist(), coefficients_from_rows(chunk)


def with_diverged(
    rows: Sequence[tuple[str, str, str, float, str]], table: pd.DataFrame, method: str, *, columns: Sequence[str]
) -> pd.DataFrame:
    """The scores and, for keys of the table that have none, NaN."""
    scored = {row[2] for row in rows}
    missing = [key for key in table["key"] if key not in scored]
    scores = pd.DataFrame(list(rows), columns=SCORE_COLUMNS)
    return _extended(scores, [(method, column, key, np.nan, DIVERGED) for key in missing for column in columns])


def _extended(scores: pd.DataFrame, rows: Sequence[tuple[str, str, str, float, str]]) -> pd.DataFrame:
    return joined([scores, pd.DataFrame(list(rows), columns=SCORE_COLUMNS)])
