"""How well the recogniser's features tell people apart that it was not trained on: verification accuracy and ROC."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from pipelines.dataset import crops
from pipelines.photographs.splits import with_companions
from pipelines.recognizer_file import load_features
from pipelines.verification_file import RocPoint, Verification, write_verification

_FALSE_POSITIVES = (np.linspace(0, 1, 41) ** 2).round(4)  # points of the curve, close together where it is steep


def verify_held_out(aligned: Path, features: Path, output: Path) -> None:
    """Write the verification of all pairs of held-out crops whose person is known."""
    rows = crops(aligned, *with_companions("validation", "test"))
    rows = rows[rows["identity"] != ""]
    by_key = load_features(features)
    held_out = np.array([by_key[key] for key in rows["key"]], np.float32)
    write_verification(output, verification(held_out, rows["identity"].to_numpy()))


def verification(features: NDArray[np.float32], identities: NDArray[np.object_]) -> Verification:
    """The verification of all pairs of features of unit length."""
    people = len(set(identities))
    first, second = np.triu_indices(len(features), k=1)
    same = identities[first] == identities[second]
    if len(np.unique(same)) < 2:
        return Verification(float("nan"), float("nan"), len(same), people, [])
    similarity = (features @ features.T)[first, second]
    false_positive, true_positive, _ = roc_curve(same, similarity)
    accuracy = float(np.max(true_positive + 1 - false_positive) / 2)
    reached = true_positive[np.searchsorted(false_positive, _FALSE_POSITIVES, side="right") - 1]
    roc = [RocPoint(*point) for point in zip(_FALSE_POSITIVES.tolist(), reached.tolist(), strict=True)]
    return Verification(accuracy, float(roc_auc_score(same, similarity)), len(same), people, roc)
