"""The common form of the benchmarks: their samples, as prediction, evaluation and figures read them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

BENCHMARKS = ("micc", "facescape", "aflw2000")
TWIN = "twin"  # in place of the folder of a real data set
_SAMPLES = "samples.parquet"
_OMITTED = "omitted.json"  # only when something is


@dataclass(frozen=True)
class Sample:
    """A sample after alignment: a row of `samples.parquet`."""

    sample: str
    subject: str
    condition: str
    comparison: bool
    ablation: bool
    keys: tuple[str, ...]  # of the crops; empty when no photograph shows a face
    scan: str  # path of the ground-truth mesh inside the benchmark's folder, or ""
    landmarks: tuple[float, ...]  # x0, y0, x1, … of 68 true landmarks, pixels of the crop; empty when there are none
    skin_tone_ita: float  # degrees; NaN when unknown


def write_samples(folder: Path, samples: Sequence[Sample]) -> None:
    """Write a benchmark's table of samples."""
    pd.DataFrame([asdict(sample) for sample in samples]).to_parquet(folder / _SAMPLES, index=False)


def read_samples(folder: Path) -> list[Sample]:
    """A benchmark's samples; FileNotFoundError when the benchmark was not built."""
    path = folder / _SAMPLES
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; run the stage benchmark for {folder.name}")
    return [_sample(row) for row in pq.read_table(path).to_pylist()]


def _sample(row: dict[str, Any]) -> Sample:
    tone = math.nan if row["skin_tone_ita"] is None else row["skin_tone_ita"]  # pandas writes NaN as nothing
    lists = {name: tuple(row[name]) for name in ("keys", "landmarks")}
    return Sample(**{**row, **lists, "skin_tone_ita": tone})


def write_omitted(folder: Path, omitted: Mapping[str, str]) -> None:
    """Write what a benchmark should have and has not, with the reasons; no file when nothing is left out."""
    if omitted:
        (folder / _OMITTED).write_text(json.dumps(omitted, indent=1, ensure_ascii=False) + "\n")


def read_omitted(folder: Path) -> dict[str, str]:
    """What a benchmark should have and has not, with the reasons."""
    path = folder / _OMITTED
    return dict(json.loads(path.read_text())) if path.is_file() else {}
