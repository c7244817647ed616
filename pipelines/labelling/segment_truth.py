"""Crops whose segments are known: those of synthetic photographs, and those that people have annotated."""

from pathlib import Path

import pandas as pd

from pipelines.dataset import crops
from pipelines.labelling.truth import training_rows
from pipelines.params import SegmentTruth
from pipelines.shards import ShardReader


def rows_with_segments(aligned: Path, truth: Path, kind: SegmentTruth) -> pd.DataFrame:
    """Rows of the training crops with known segments, by key; ValueError when there is none of a kind."""
    parts = []
    if kind != "annotated":
        parts.append(training_rows(aligned, truth, "train_segmenter"))
    if kind != "synthetic":
        parts.append(_annotated_rows(aligned, truth, kind))
    return pd.concat(parts).sort_values("key", ignore_index=True)


def _annotated_rows(aligned: Path, truth: Path, kind: SegmentTruth) -> pd.DataFrame:
    """One crop of each annotated photograph: where several faces were found, only one of them is annotated."""
    rows, annotated = crops(aligned, "train"), ShardReader(truth)
    known = rows["photograph"].map(annotated.__contains__).astype(bool) & ~rows["synthetic"].astype(bool)
    chosen = rows[known].drop_duplicates("photograph", keep=False)
    if chosen.empty:
        raise ValueError(
            f"train_segmenter.truth: {kind}, but no annotated photograph is among the training crops; set"
            " photographs.source to CelebAMask-HQ or LaPa, or train_segmenter.truth: synthetic"
        )
    return chosen
