"""How well the recogniser tells people apart, on disk: JSON with a few points of its ROC curve."""

import json
from pathlib import Path
from typing import NamedTuple


class RocPoint(NamedTuple):
    """Shares of the pairs of different people and of the same person that one threshold takes for the same person."""

    false_positive: float
    true_positive: float


class Verification(NamedTuple):
    """Are two photographs of one person? NaN, and no curve, when there are no pairs of both kinds."""

    accuracy: float  # at the best threshold; same and different pairs weigh the same
    auc: float  # area under the ROC curve
    n: int  # pairs
    people: int
    roc: list[RocPoint]


def write_verification(path: Path, result: Verification) -> None:
    """Write it as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tree = {**result._asdict(), "roc": [point._asdict() for point in result.roc]}
    path.write_text(json.dumps(tree, indent=1) + "\n")


def read_verification(path: Path) -> Verification:
    """What `write_verification` wrote."""
    tree = json.loads(path.read_text())
    return Verification(**{**tree, "roc": [RocPoint(**point) for point in tree["roc"]]})
