"""Sheets of pictures in rows and columns, and the one way in which figures are saved: the same data, the same bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
import matplotlib.pyplot as plt

WIDTH_INCHES = 7.0  # of two printed columns, so that letters keep their size on paper
_LABEL_INCHES = 0.25
_TITLE_INCHES = 0.16  # a line
_NOTE_INCHES = 0.2
_DPI = 300
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "savefig.facecolor": "white",
}

Cell = NDArray[np.floating] | None | str  # a picture (H, W, 3) in 0..1, a diverged prediction, or words


def save_sheet(
    path: Path, rows: Sequence[Sequence[Cell]], *, columns: Sequence[str], labels: Sequence[str] = (), note: str = ""
) -> None:
    """Write a sheet with a title over each column, a label left of each row, and a note below."""
    side = (WIDTH_INCHES - _LABEL_INCHES * bool(labels)) / len(columns)
    lines = max(title.count("\n") + 1 for title in columns)
    height = side * len(rows) + _TITLE_INCHES * lines + _NOTE_INCHES * bool(note)
    figure, axes = new_figure(nrows=len(rows), ncols=len(columns), figsize=(WIDTH_INCHES, height), squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    for row, cells in zip(axes, rows, strict=True):
        for axis, cell in zip(row, cells, strict=True):
            draw_cell(axis, cell)
    for axis, title in zip(axes[0], columns, strict=True):
        axis.set_title(title)
    for axis, label in zip(axes[:, 0], labels, strict=False):
        axis.set_ylabel(label)
    if note:
        figure.supxlabel(note, fontsize=7, color="0.35")
    save(figure, path)


def draw_cell(axis: Any, cell: Cell) -> Any:
    """Show a picture without ticks, or words in an empty frame; returns the image, if any."""
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
    if cell is None:
        axis.set(facecolor="0.95", box_aspect=1)
    if isinstance(cell, str) or cell is None:
        words = "diverged (NaN)" if cell is None else cell
        axis.text(0.5, 0.5, words, ha="center", va="center", color="0.4", transform=axis.transAxes)
        return None
    return axis.imshow(np.clip(cell, 0, 1), interpolation="lanczos")


def new_figure(**options: Any) -> tuple[Any, Any]:
    """`matplotlib.pyplot.subplots` in the style of all figures."""
    matplotlib.rcParams.update(_STYLE)
    return plt.subplots(layout="constrained", **options)


def save(figure: Any, path: Path) -> None:
    """Write a PNG without date or version, and forget the figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})
    plt.close(figure)
