"""Distances to the synthetic truth, and scores split by skin tone: what no real data set can tell."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from models.camera import rotation_from_euler
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.scores import truth_errors
from pipelines.coefficients_file import group_from_rows
from pipelines.methods import MEAN_FACE
from pipelines.scoring import OK, SCORE_COLUMNS, MethodPredictions, finite_batches, with_diverged
from pipelines.shards import read_rows

MEASURES = ("diffuse", "specular", "light_direction", "shininess", "pose", "expression", "identity")
_NOT_ESTIMATED = {MEAN_FACE: ("light_direction", "shininess")}
SKIN_TONES = ("dark", "medium", "light")  # terciles of the individual typology angle


def truth_of_crops(aligned: Path, truth: Path) -> pd.DataFrame:
    """Truth of every kept synthetic crop, indexed by the crop's key; empty when all photographs are real."""
    known = read_rows(truth)
    if known.empty:
        return pd.DataFrame()
    rows = read_rows(aligned)
    kept = rows.loc[rows["status"] == "kept", ["key", "photograph", "crop_from_photograph"]]
    known = known.rename(columns={"key": "photograph"})
    return kept.merge(known, on="photograph", validate="many_to_one").set_index("key")


def truth_scores(predictions: MethodPredictions, truth: pd.DataFrame, *, model: FaceModel) -> pd.DataFrame:
    """Errors of every estimated quantity on the synthetic test crops; the column is the quantity."""
    table = predictions.coefficients("test")
    table = table[table["key"].isin(truth.index)]
    measures = [name for name in MEASURES if name not in _NOT_ESTIMATED.get(predictions.method, ())]
    visible = ~model.region_mask("inner_mouth")
    rows = []
    for keys, estimated in finite_batches(table, f"truth {predictions.method}"):
        errors = truth_errors(model, estimated, true_coefficients(truth.loc[keys]), visible)
        for name in measures:
            values = getattr(errors, name).tolist()
            rows += [(predictions.method, name, key, value, OK) for key, value in zip(keys, values, strict=True)]
    return with_diverged(rows, table, predictions.method, columns=measures)


def true_coefficients(rows: pd.DataFrame) -> Coefficients:
    """True coefficients of crops: pose and light of the photograph, turned as the crop is turned against it.

    Translation and scale belong to another camera and are left at 0 and 1.
    """
    known = {name: group_from_rows(rows, name) for name in Coefficients._fields if name not in ("translation", "scale")}
    affines = group_from_rows(rows, "crop_from_photograph").unflatten(1, (2, 3))
    roll = -torch.atan2(affines[:, 1, 0], affines[:, 0, 0])  # pixels count down, the camera's y points up
    turn = torch.stack([torch.zeros_like(roll), torch.zeros_like(roll), roll], dim=-1)
    known["euler_angles"] = known["euler_angles"] + turn
    known["light_position"] = _turned(known["light_position"], turn)
    return Coefficients(**known, translation=torch.zeros(len(rows), 3), scale=torch.ones(len(rows), 1))


def _turned(points: Tensor, euler_angles: Tensor) -> Tensor:
    return (rotation_from_euler(euler_angles) @ points[..., None])[..., 0]


def by_skin_tone(scores: pd.DataFrame, tones: Mapping[str, float], *, prefix: str) -> pd.DataFrame:
    """Scores whose column is `<prefix>_<tercile of the skin tone>`; samples of unknown tone are left out."""
    tone = scores["sample"].map(dict(tones)).astype(float)
    known = scores[tone.notna()].assign(tone=tone[tone.notna()])
    if known.empty:
        return pd.DataFrame(columns=SCORE_COLUMNS)
    limits = np.quantile(known.drop_duplicates("sample")["tone"], [1 / 3, 2 / 3])
    names = np.array([f"{prefix}_{name}" for name in SKIN_TONES])
    column = names[np.searchsorted(limits, known["tone"], side="right")]
    return known.assign(column=column)[SCORE_COLUMNS].reset_index(drop=True)
