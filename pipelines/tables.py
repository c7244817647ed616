"""Tables: scores averaged, with the paper's values beside them; every number comes from a score or from the paper."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

MEASURED, NAN, NOT_BUILT, NO_DATA, PAPER_ONLY = "measured", "diverged", "not built", "no data", "paper only"
# Extra tables are named after the table that they say more about: table3_micc_intervals.
INTERVALS, BY_SKIN_TONE, BY_YAW = "_intervals", "_by_skin_tone", "_by_yaw"
NOT_COUNTED = ("no face", "no landmarks")  # statuses of scores


class Column(NamedTuple):
    """A column of a table."""

    key: str
    label: str
    unit: str
    digits: int = 2
    measured: bool = True  # False: only the paper has it
    metric: bool = True  # False: shown, but nothing that a method is better or worse by
    squares: str = ""  # column of the scores with the mean squares of what a score averages; then ± is over these


@dataclass(frozen=True)
class TableSpec:
    """What a table shows, before any number."""

    name: str
    title: str
    caption: str  # of the measured values: data set and protocol
    columns: tuple[Column, ...]
    rows: tuple[str, ...]
    not_built: frozenset[str] = frozenset()  # rows whose method does not exist here
    metrics_path: str = ""  # e.g. table3/micc; empty: none of it is a metric
    spread: str = "samples"  # what the standard deviation is over


class Paper(NamedTuple):
    """The paper's values for a table."""

    protocol: str
    rows: Mapping[str, Mapping[str, Sequence[float]]]

    def value(self, row: str, column: str) -> tuple[float, float] | tuple[None, None]:
        """Mean and standard deviation, or twice None where the paper has no such cell."""
        found = self.rows.get(row, {}).get(column)
        return (None, None) if found is None else (float(found[0]), float(found[1]))


NO_PAPER = Paper("", {})


@dataclass(frozen=True)
class TableCell:
    """A cell: measured, and as printed in the paper."""

    table: str
    row: str
    column: str
    mean: float | None  # None: nothing measured; NaN: the method diverged
    std: float | None
    count: int
    unit: str
    paper_mean: float | None
    paper_std: float | None
    status: str


def read_paper(path: Path) -> dict[str, Paper]:
    """The paper's tables by name."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the paper's values are missing; they belong to the repository")
    return {name: Paper(table["protocol"], table["rows"]) for name, table in yaml.safe_load(path.read_text()).items()}


def build_cells(spec: TableSpec, scores: pd.DataFrame, paper: Paper) -> list[TableCell]:
    """Average the scores of each cell.

    Samples without a face or landmarks are left out and lower the count; one diverged sample makes the cell NaN.
    """
    cells = []
    for row in spec.rows:
        for column in spec.columns:
            values = counted(scores, row, column.key)["value"]
            paper_mean, paper_std = paper.value(row, column.key)
            mean, std, status = _average(values)
            if column.squares and mean is not None:
                std = _pooled_std(mean, counted(scores, row, column.squares)["value"])
            if row in spec.not_built:
                status = NOT_BUILT
            elif not column.measured:
                status = PAPER_ONLY
            count = len(values) if status in (MEASURED, NAN) else 0
            cells.append(
                TableCell(spec.name, row, column.key, mean, std, count, column.unit, paper_mean, paper_std, status)
            )
    return cells


def counted(scores: pd.DataFrame, row: str, column: str) -> pd.DataFrame:
    """The scores of a cell: those of samples that show what it takes."""
    of_cell = (scores["row"] == row) & (scores["column"] == column)
    return scores[of_cell & ~scores["status"].isin(NOT_COUNTED)]


def _average(values: pd.Series) -> tuple[float | None, float | None, str]:
    if values.empty:
        return None, None, NO_DATA
    mean, std = float(values.mean(skipna=False)), float(values.std(ddof=0, skipna=False))
    return mean, std, NAN if math.isnan(mean) else MEASURED


def _pooled_std(mean: float, mean_squares: pd.Series) -> float:
    """Standard deviation over everything that the samples average, each sample with the same weight."""
    return mean if math.isnan(mean) else math.sqrt(max(0.0, float(mean_squares.mean(skipna=False)) - mean**2))


def metrics_tree(specs: Sequence[TableSpec], cells: Mapping[str, Sequence[TableCell]]) -> dict[str, Any]:
    """All measured metrics of tables with a path as a nested dictionary, e.g. table3/micc/cooperative/full/mean_mm."""
    tree: dict[str, Any] = {}
    for spec in (spec for spec in specs if spec.metrics_path):
        metrics = {column.key for column in spec.columns if column.metric}
        for cell in cells[spec.name]:
            if cell.mean is None or cell.column not in metrics:
                continue
            place = tree
            for part in (*spec.metrics_path.split("/"), cell.column, cell.row):
                place = place.setdefault(part, {})
            suffix = "_mm" if cell.unit == "mm" else ""
            place |= {f"mean{suffix}": _short(cell.mean), f"std{suffix}": _short(cell.std or 0.0), "n": cell.count}
    return tree


def _short(value: float) -> float:
    return float(f"{value:.6g}")
