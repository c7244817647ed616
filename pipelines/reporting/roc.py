"""The ROC curve of the recogniser."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.reporting.sheet import new_figure, save
from pipelines.verification_file import RocPoint


def roc_figure(path: Path, points: Sequence[RocPoint]) -> None:
    """Pairs of one person that are found over pairs of different people that are confused; dashed: by chance."""
    figure, axis = new_figure(figsize=(3.0, 3.0))
    axis.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=0.8)
    axis.plot([point.false_positive for point in points], [point.true_positive for point in points], color="C0")
    axis.set(xlabel="false positives", ylabel="true positives", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    save(figure, path)
