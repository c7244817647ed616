"""The intervals of a table as files: CSV in long form, Markdown and LaTeX."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from pipelines.intervals import IntervalCell
from pipelines.params import IntervalsParams
from pipelines.table_files import ROW_LABELS, csv_text, write_grid
from pipelines.tables import INTERVALS, TableSpec


def write_intervals(folder: Path, spec: TableSpec, cells: Sequence[IntervalCell], params: IntervalsParams) -> None:
    """Write `<table>_intervals.csv`, `.md` and `.tex`."""
    folder.mkdir(parents=True, exist_ok=True)
    name = spec.name + INTERVALS
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(IntervalCell))
        writer.writerows([csv_text(value) for value in astuple(cell)] for cell in cells)
    title = f"{spec.title.removesuffix('.')}, with {params.confidence:.0%} confidence intervals."
    write_grid(folder, name, list(_grid(spec, cells)), title=title, notes=_notes(spec, cells, params))


def _grid(spec: TableSpec, cells: Sequence[IntervalCell]) -> Iterator[list[str]]:
    """Header and rows; the mean of each column is followed by the row's difference to `full`."""
    by_place = {(cell.row, cell.column): cell for cell in cells}
    columns = [column for column in spec.columns if any(cell.column == column.key for cell in cells)]
    header = ["method"]
    for column in columns:
        header += [f"{column.label} ({column.unit})" if column.unit else column.label, "minus full"]
    yield header
    for row in dict.fromkeys(cell.row for cell in cells):
        line = [ROW_LABELS.get(row, row)]
        for column in columns:
            cell = by_place.get((row, column.key))
            line += ["no data", ""] if cell is None else list(_texts(cell, column.digits))
        yield line


def _texts(cell: IntervalCell, digits: int) -> tuple[str, str]:
    own = interval_text(cell.mean, cell.low, cell.high, digits=digits)
    if cell.difference is None or cell.difference_low is None or cell.difference_high is None:
        return own, ""
    if not cell.common_samples:
        return own, "no data"
    return own, interval_text(cell.difference, cell.difference_low, cell.difference_high, digits=digits + 1, sign="+")


def interval_text(mean: float, low: float, high: float, *, digits: int, sign: str = "") -> str:
    """Mean and interval; NaN for a diverged method, `no interval` where one subject is all there is."""
    if math.isnan(mean):
        return "NaN"
    if math.isnan(low):
        return f"{mean:{sign}.{digits}f} (no interval)"
    return f"{mean:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def _notes(spec: TableSpec, cells: Sequence[IntervalCell], params: IntervalsParams) -> str:
    paired = [cell.common_samples for cell in cells if cell.difference is not None]
    pairs = f" Samples that a row has in common with full: {_range(paired)}." if paired else ""
    return (
        f"Mean and {params.confidence:.0%} interval; minus full: the row's mean difference to full on the samples that"
        " both have, above 0 where full is better. Percentile bootstrap, subjects drawn with all their samples"
        f" {params.resamples} times: how the numbers move with other test subjects, not with another training; too"
        " narrow where subjects are few."
        f" Measured: {spec.caption}. Subjects: {_range([cell.subjects for cell in cells])}, samples:"
        f" {_range([cell.samples for cell in cells])}.{pairs}"
    )


def _range(counts: Sequence[int]) -> str:
    return "–".join(map(str, dict.fromkeys((min(counts), max(counts))))) if counts else "none"
