"""Rows of the synthetic photographs, joined with what is known of them."""

from pathlib import Path

import pandas as pd

from pipelines.dataset import crops
from pipelines.photographs.splits import with_companions
from pipelines.shards import read_rows


def rows_with_truth(aligned: Path, truth: Path, *splits: str) -> pd.DataFrame:
    """Rows of the kept synthetic crops of these splits, companions included, with the columns of their truth."""
    rows = crops(aligned, *with_companions(*splits))
    known = read_rows(truth)
    if known.empty:
        return rows.iloc[:0]
    return rows.merge(known.rename(columns={"key": "photograph"}), on="photograph", validate="many_to_one")
