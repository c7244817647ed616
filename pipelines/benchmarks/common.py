"""The common form of the benchmarks: what their readers deliver, whether the data set is real or a twin."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.benchmarks.scans import Scan

BENCHMARKS = ("micc", "facescape", "aflw2000")
TWIN = "twin"  # in place of the folder of a real data set
_SAMPLES = "samples.parquet"


@dataclass(frozen=True)
class RawPhotograph:
    """A picture file of a data set; `landmarks` are true ones in its pixels, where the data set has them."""

    key: str
    path: Path
    subject: str
    landmarks: NDArray[np.float64] | None = None  # (68, 2)


@dataclass(frozen=True)
class RawSample:
    """What gets one number in a table: photographs of one face, and the ground truth they are compared with."""

    name: str
    subject: str
    condition: str  # the table's column
    photographs: tuple[RawPhotograph, ...]
    comparison: bool = True  # counts in the comparison with other methods (Tables 3 to 5)
    ablation: bool = False  # counts in the ablation study (Table 2)
    scan_name: str = ""  # samples may share a scan
    read_scan: Callable[[], Scan] | None = None


def required_folder(folder: Path, *, name: str, how_to_obtain: str) -> Path:
    """The folder, when it exists; FileNotFoundError that says how to obtain the data set otherwise."""
    if not folder.is_dir():
        raise FileNotFoundError(f"benchmarks.{name}: {folder} is not a folder. {how_to_obtain}")
    return folder


def required_samples(samples: list[RawSample], *, folder: Path, layout: str) -> list[RawSample]:
    """The samples, when there are any; FileNotFoundError with the expected layout otherwise."""
    if not samples:
        raise FileNotFoundError(f"{folder}: found no sample; expected the layout {layout}")
    return samples


def evenly_chosen(paths: list[Path], count: int) -> list[Path]:
    """At most `count` of the paths, spread over the whole list."""
    if len(paths) <= count:
        return paths
    return [paths[round(index)] for index in np.linspace(0, len(paths) - 1, count)]


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
