"""Training curves from the `history.csv` beside the weights."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.reporting.sheet import WIDTH_INCHES, new_figure, save
from pipelines.weights import HISTORY

_LOSSES = ("total", "id", "photo", "lmk", "mouth", "reg", "uniform")
_POINTS_FOR_SMOOTHING = 40  # the moving mean spans one in so many points


def regressor_curves(path: Path, weights: Path, variants: tuple[str, ...]) -> None:
    """The six losses and their sum over the iterations, all variants together; faint: unsmoothed."""
    histories = {variant: pd.read_csv(weights / "regressor" / variant / HISTORY) for variant in variants}
    figure, axes = new_figure(nrows=2, ncols=4, figsize=(WIDTH_INCHES, 3.6), sharex=True)
    for axis, loss in zip(axes.flat, _LOSSES, strict=False):
        for number, history in enumerate(histories.values()):
            if loss in history:
                _curve(axis, history["step"], history[loss], colour=f"C{number}")
        axis.set(title=f"loss/{loss}", yscale=_scale(axis))
    for axis in axes[1]:
        axis.set_xlabel("iteration")
    last = axes.flat[len(_LOSSES)]
    last.axis("off")
    handles = [last.plot([], [], color=f"C{number}", label=variant)[0] for number, variant in enumerate(histories)]
    last.legend(handles=handles, loc="center", frameon=False)
    save(figure, path)


def network_curves(path: Path, weights: Path) -> None:
    """Every other network that was trained here: one panel each, the columns of its history."""
    folders = sorted(file.parent for file in weights.glob(f"*/{HISTORY}"))
    columns = max(1, math.ceil(len(folders) / 2))
    figure, axes = new_figure(nrows=2, ncols=columns, figsize=(WIDTH_INCHES, 4.6), squeeze=False)
    for axis in axes.flat[len(folders) :]:
        axis.axis("off")
    for axis, folder in zip(axes.flat, folders, strict=False):
        history = pd.read_csv(folder / HISTORY)
        step = "step" if "step" in history else history.columns[0]
        for number, column in enumerate(history.columns.drop([step, "learning_rate"], errors="ignore")):
            _curve(axis, history[step], history[column], colour=f"C{number}", label=column)
        axis.set(title=folder.name, xlabel="iteration", yscale=_scale(axis))
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)


def _curve(axis: Any, steps: "pd.Series[float]", values: "pd.Series[float]", *, colour: str, label: str = "") -> None:
    window = max(1, len(values) // _POINTS_FOR_SMOOTHING)
    axis.plot(steps, values, color=colour, alpha=0.25, linewidth=0.6)
    axis.plot(steps, values.rolling(window, min_periods=1).mean(), color=colour, linewidth=1.2, label=label or None)


def _scale(axis: Any) -> str:
    """Logarithmic, where every value allows it."""
    values = np.concatenate([[1.0], *(np.asarray(line.get_ydata(), float) for line in axis.lines)])
    return "log" if (values[np.isfinite(values)] > 0).all() else "linear"
