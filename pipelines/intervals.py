"""How sure the averages of a table are: bootstrap confidence intervals, and paired differences between its rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap

from pipelines.methods import OURS
from pipelines.params import IntervalsParams
from pipelines.tables import Column, TableSpec, counted


class Interval(NamedTuple):
    """A mean with its confidence interval; NaN where there is none."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class IntervalCell:
    """A cell of a table with its interval, and with its difference to the same column of the row `full`."""

    table: str
    row: str
    column: str
    mean: float
    low: float
    high: float
    samples: int
    subjects: int
    difference: float | None  # row minus full on their common samples; None: the row is full, or there is no full
    difference_low: float | None
    difference_high: float | None
    common_samples: int
    unit: str


def interval_cells(
    spec: TableSpec, scores: pd.DataFrame, subjects: Mapping[str, str], params: IntervalsParams
) -> list[IntervalCell]:
    """The cells of a table that have samples; `subjects` says whom each sample shows.

    A diverged sample makes mean and interval NaN, as in the table; the difference is over samples that neither row
    diverged on, and their number says so.
    """
    cells = []
    for column in spec.columns:
        by_row = {row: counted(scores, row, column.key).set_index("sample")["value"] for row in spec.rows}
        for row, values in by_row.items():
            full = None if row == OURS else by_row.get(OURS)
            if len(values):
                cells.append(_cell(spec.name, row, column, values, full, subjects=subjects, params=params))
    return cells


def cluster_interval(values: pd.Series, subjects: Mapping[str, str], params: IntervalsParams) -> Interval:
    """Percentile bootstrap of the mean over samples (the index of `values`), drawing subjects with all their samples.

    The samples of a subject resemble each other, so drawing single ones would make intervals too narrow. A single
    subject says nothing about others: no interval.
    """
    mean = float(values.mean(skipna=False)) if len(values) else math.nan
    people = values.groupby([subjects[sample] for sample in values.index]).agg(["sum", "count"])
    if math.isnan(mean) or len(people) < 2:
        return Interval(mean, math.nan, math.nan)
    drawn = bootstrap(
        (people["sum"].to_numpy(), people["count"].to_numpy()),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=params.resamples,
        confidence_level=params.confidence,
        method="percentile",
        rng=np.random.default_rng(params.seed),
    )
    return Interval(mean, float(drawn.confidence_interval.low), float(drawn.confidence_interval.high))


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = sums.sum(axis=axis) / counts.sum(axis=axis)
    return mean


def _cell(
    table: str,
    row: str,
    column: Column,
    values: pd.Series,
    full: pd.Series | None,
    *,
    subjects: Mapping[str, str],
    params: IntervalsParams,
) -> IntervalCell:
    own = cluster_interval(values, subjects, params)
    differences = pd.Series(dtype=float) if full is None else (values - full).dropna()
    difference = None if full is None else cluster_interval(differences, subjects, params)
    return IntervalCell(
        table=table,
        row=row,
        column=column.key,
        mean=own.mean,
        low=own.low,
        high=own.high,
        samples=len(values),
        subjects=len({subjects[sample] for sample in values.index}),
        difference=difference and difference.mean,
        difference_low=difference and difference.low,
        difference_high=difference and difference.high,
        common_samples=len(differences),
        unit=column.unit,
    )
