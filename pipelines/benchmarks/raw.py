"""What the readers of the data sets deliver, whether a data set is real or a twin."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.benchmarks.scans import Scan


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
    read_further_scans: tuple[Callable[[], Scan], ...] = ()  # others of the same face


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
