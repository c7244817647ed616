"""What a table says about samples that have no number, so that no average is silently over fewer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from pipelines.table_files import ROW_LABELS
from pipelines.tables import NOT_COUNTED, TableSpec


def with_missing_samples(specs: Sequence[TableSpec], scores: Mapping[str, pd.DataFrame]) -> list[TableSpec]:
    """The tables with a sentence in the caption for each row that lacks samples."""
    return [replace(spec, caption="; ".join([spec.caption, *_sentences(spec, scores[spec.name])])) for spec in specs]


def _sentences(spec: TableSpec, scores: pd.DataFrame) -> list[str]:
    shown = scores[scores["row"].isin(spec.rows) & scores["column"].isin([column.key for column in spec.columns])]
    sentences = []
    for row in spec.rows:
        of_row = shown[shown["row"] == row]
        for status, group in of_row[of_row["status"] != "ok"].groupby("status", sort=True):
            samples, all_samples = group["sample"].nunique(), of_row["sample"].nunique()
            what = "not counted" if status in NOT_COUNTED else "NaN"
            sentences.append(f"{ROW_LABELS.get(row, row)}: {samples} of {all_samples} samples {status}, {what}")
    return sentences
