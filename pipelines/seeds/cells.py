"""The cells of the tables of one seed, and whether those of several belong together."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipelines.tables import BY_SKIN_TONE, BY_YAW, INTERVALS


class Place(NamedTuple):
    """Where a cell stands."""

    table: str
    column: str
    row: str


class Cell(NamedTuple):
    """A measured cell of one seed."""

    value: float  # mean over the samples; NaN: the method diverged
    samples: int
    unit: str
    paper: float | None  # None: the paper has no such cell; NaN: its method diverged


Cells = Mapping[Place, Cell]


def read_tables(folder: Path) -> dict[Place, Cell]:
    """The measured cells of all tables in `folder`, without the extra ones that say more about a table."""
    files = [path for path in sorted(folder.glob("*.csv")) if not path.stem.endswith((INTERVALS, BY_SKIN_TONE, BY_YAW))]
    if not files:
        raise FileNotFoundError(f"{folder}: expected the tables of stage evaluate, found no .csv")
    cells = {}
    for path in files:
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                if line["mean"]:
                    paper = float(line["paper_mean"]) if line["paper_mean"] else None
                    cell = Cell(float(line["mean"]), int(line["count"]), line["unit"], paper)
                    cells[Place(line["table"], line["column"], line["row"])] = cell
    return cells


def comparable(runs: Mapping[int, Cells]) -> Cells:
    """The cells of the first seed; ValueError when another one has other cells or sample counts."""
    (seed, first), *others = runs.items()
    for other, cells in others:
        odd = [p for p in (first.keys() | cells.keys()) if _count(first, p) != _count(cells, p)]
        if odd:
            place = min(odd)
            raise ValueError(
                f"{place.table}, {place.row}, {place.column}: {_count(first, place)} samples with seed {seed},"
                f" {_count(cells, place)} with seed {other}; are these runs of one pipeline and profile?"
            )
    return first


def _count(cells: Cells, place: Place) -> int:
    return cells[place].samples if place in cells else 0
