"""Tables of several seeds as one: mean and spread of every cell, which of the paper's orderings and our claims hold."""

import csv
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.methods import OURS
from pipelines.seeds.cells import Cell, Cells, Place, comparable, read_tables
from pipelines.seeds.claims import Outcome, outcomes_of
from pipelines.seeds.study import Study
from pipelines.table_files import ROW_LABELS


class Spread(NamedTuple):
    """A cell over the seeds; its numbers are those of the seeds that did not diverge."""

    table: str
    row: str
    column: str
    mean: float
    std: float  # of one seed, estimated
    lowest: float
    highest: float
    seeds: int
    diverged: int
    unit: str
    paper: float | None


class Ordering(NamedTuple):
    """A claim of the paper: in this column every method of `better` has a lower error than every one of `worse`."""

    table: str
    column: str
    claim: str
    better: tuple[str, ...]
    worse: tuple[str, ...]

    def gap(self, errors: Mapping[str, float]) -> float:
        """By how much it holds, negative where it does not; a diverged method has an infinite error."""
        finite = {row: math.inf if math.isnan(error) else error for row, error in errors.items()}
        return min(finite[row] for row in self.worse) - max(finite[row] for row in self.better)


class Verdict(NamedTuple):
    """How an ordering fares."""

    ordering: Ordering
    paper: float  # its gap
    gaps: tuple[float, ...]  # of each seed

    @property
    def held(self) -> int:
        """In how many seeds."""
        return sum(gap > 0 for gap in self.gaps)


class SeedResults(NamedTuple):
    """What the runs of several seeds say together."""

    spreads: Sequence[Spread]
    verdicts: Sequence[Verdict]
    outcomes: Sequence[Outcome]


def write_seed_report(study: Study, folders: Mapping[int, Path], output: Path) -> None:
    """Write `<name>.csv` and `<name>.md` into `output` from each seed's tables, as stage `evaluate` leaves them."""
    runs = {seed: read_tables(folder) for seed, folder in folders.items()}
    results = SeedResults(spreads_of(runs), verdicts_of(runs), outcomes_of(runs))
    output.mkdir(parents=True, exist_ok=True)
    with (output / f"{study.name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Spread._fields)
        writer.writerows([_csv_text(value) for value in spread] for spread in results.spreads)
    (output / f"{study.name}.md").write_text(_markdown(study, results))


def spreads_of(runs: Mapping[int, Cells]) -> list[Spread]:
    """Every cell over the seeds, in the order of the tables."""
    first = comparable(runs)
    return [_spread(place, [cells[place] for cells in runs.values()]) for place in first]


def verdicts_of(runs: Mapping[int, Cells]) -> list[Verdict]:
    """What became of the paper's orderings."""
    first = comparable(runs)
    verdicts = []
    for ordering in orderings_of(first):
        rows = (*ordering.better, *ordering.worse)
        places = {row: Place(ordering.table, ordering.column, row) for row in rows}
        gaps = [ordering.gap({row: cells[place].value for row, place in places.items()}) for cells in runs.values()]
        paper = ordering.gap({row: _paper(first[place]) for row, place in places.items()})
        verdicts.append(Verdict(ordering, paper, tuple(gaps)))
    return verdicts


def orderings_of(cells: Cells) -> Iterator[Ordering]:
    """The paper's best and worst method of each column, and ours against every other one.

    Only methods with a number in the paper and a measurement here take part; a column needs two of them.
    """
    for table, column in dict.fromkeys((place.table, place.column) for place in cells):
        papers = {place.row: cell.paper for place, cell in cells.items() if place[:2] == (table, column)}
        ranked = sorted((paper, row) for row, paper in papers.items() if paper is not None and not math.isnan(paper))
        rows = tuple(row for _, row in ranked)
        if len(rows) < 2:
            continue
        yield Ordering(table, column, f"{_label(rows[0])} is best", rows[:1], rows[1:])
        yield Ordering(table, column, f"{_label(rows[-1])} is worst", rows[:-1], rows[-1:])
        if OURS in rows:
            ours = rows.index(OURS)
            for row in rows[:ours]:
                yield Ordering(table, column, f"{_label(row)} before {OURS}", (row,), (OURS,))
            for row in rows[ours + 1 :]:
                yield Ordering(table, column, f"{OURS} before {_label(row)}", (OURS,), (row,))


def _paper(cell: Cell) -> float:
    assert cell.paper is not None
    return cell.paper


def _spread(place: Place, cells: Sequence[Cell]) -> Spread:
    values = _finite(cell.value for cell in cells)
    return Spread(
        table=place.table,
        row=place.row,
        column=place.column,
        mean=statistics.fmean(values) if values else math.nan,
        std=_deviation(values),
        lowest=min(values, default=math.nan),
        highest=max(values, default=math.nan),
        seeds=len(values),
        diverged=len(cells) - len(values),
        unit=cells[0].unit,
        paper=cells[0].paper,
    )


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else math.nan


def _csv_text(value: str | float | None) -> str:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else str(value)


def _markdown(study: Study, results: SeedResults) -> str:
    seeds = len(study.seeds)
    parts = [
        f"# Spread over {seeds} seeds, profile {study.profile}"
        if seeds > 1
        else f"# One seed, profile {study.profile}",
        _introduction(study),
        "## What the training must show",
        "A ratio compares two errors; the mean prediction is the average of the true coefficients of the training"
        " photographs.",
        _claims_table(results.outcomes, seeds),
        "## Orderings of the paper",
        "A gap is by how much the error of the worse method is larger; of several methods the nearest counts."
        " A method that diverged has an infinite error; means are over finite gaps.",
        _orderings_table(results.verdicts),
    ]
    for table in dict.fromkeys(spread.table for spread in results.spreads):
        parts += [f"## {table}", _spreads_table([spread for spread in results.spreads if spread.table == table])]
    return "\n\n".join(parts) + "\n"


def _introduction(study: Study) -> str:
    changes = ", ".join(f"`{change}`" for change in study.changes)
    sentences = [
        f"Seeds of `pretrain` and `train`: {', '.join(map(str, study.seeds))}.",
        f"Changed in `params.yaml`: {changes}." if changes else "",
        f"Photographs, labels and recogniser are always the same; the regressor began with {study.initialization}.",
        "Mean ± standard deviation over seeds." if len(study.seeds) > 1 else "",
        "Every value is itself a mean over samples.",
    ]
    return " ".join(filter(None, sentences))


def _claims_table(outcomes: Sequence[Outcome], seeds: int) -> str:
    lines = []
    for outcome in outcomes:
        claim = outcome.claim
        place, demanded = f"{claim.table}, {claim.column}", f"{claim.number} {claim.demand} {claim.limit:.3g}"
        if outcome.numbers:
            word = _verdict_word(outcome.held, seeds)
            found = [_mean_text(outcome.numbers), f"{outcome.held} of {seeds}", word]
        else:
            found = ["", "", "not measured"]
        lines.append([claim.words, place, demanded, *found])
    header = ["claim", "table, column", "demanded", "ours", "seeds", "verdict"]
    return _table(header, lines, words=2)


def _orderings_table(verdicts: Sequence[Verdict]) -> str:
    lines = []
    for verdict in verdicts:
        ordering, seeds = verdict.ordering, len(verdict.gaps)
        place, word = f"{ordering.table}, {ordering.column}", _verdict_word(verdict.held, seeds)
        ours = _mean_text(verdict.gaps)
        lines.append([place, ordering.claim, f"{verdict.paper:.3g}", ours, f"{verdict.held} of {seeds}", word])
    header = ["table, column", "ordering", "gap in the paper", "our gap", "seeds", "verdict"]
    return _table(header, lines, words=2)


def _verdict_word(held: int, seeds: int) -> str:
    return {seeds: "holds", 0: "does not hold"}.get(held, "depends on the seed")


def _mean_text(numbers: Sequence[float]) -> str:
    """Mean ± standard deviation of the finite ones."""
    finite = _finite(numbers)
    return _text(statistics.fmean(finite), _deviation(finite)) if finite else "diverged"


def _spreads_table(spreads: Sequence[Spread]) -> str:
    """One line for each method, one column for each of the table's."""
    units = {spread.column: spread.unit for spread in spreads}
    by_place = {(spread.row, spread.column): spread for spread in spreads}
    lines = [
        [_label(row), *(_spread_text(by_place.get((row, column))) for column in units)]
        for row in dict.fromkeys(spread.row for spread in spreads)
    ]
    titles = (f"{column} ({unit})" if unit not in ("", column) else column for column, unit in units.items())
    return _table(["method", *titles], lines, words=1)


def _spread_text(spread: Spread | None) -> str:
    if spread is None:
        return ""
    text = _text(spread.mean, spread.std) if spread.seeds else "NaN"
    return f"{text} ({spread.diverged} diverged)" if spread.diverged else text


def _text(mean: float, std: float) -> str:
    return f"{mean:.4g}" if math.isnan(std) else f"{mean:.4g} ± {std:.2g}"


def _label(row: str) -> str:
    return ROW_LABELS.get(row, row)


def _table(header: Sequence[str], lines: Sequence[Sequence[str]], *, words: int) -> str:
    """Markdown; the first `words` columns are set to the left."""
    rule = ["---"] * words + ["---:"] * (len(header) - words)
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *lines))
