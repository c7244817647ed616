"""Distances to the synthetic truth, and scores split by skin tone: what no real data set can tell."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from models.face_model import FaceModel
from models.scores import truth_errors
from pipelines.methods import MEAN_FACE
from pipelines.scoring import OK, SCORE_COLUMNS, MethodPredictions, finite_batches, with_diverged
from pipelines.truth import true_coefficients

MEASURES = ("diffuse", "specular", "light_direction", "shininess", "pose", "expression", "identity")
_NOT_ESTIMATED = {MEAN_FACE: ("light_direction", "shininess")}
SKIN_TONES = ("dark", "medium", "light")  # terciles of the individual typology angle


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
