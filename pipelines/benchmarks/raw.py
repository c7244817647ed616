"""What the readers of the data sets deliver, whether a data set is real or a twin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.benchmarks.lens import Lens
from pipelines.benchmarks.scans import Scan

_SHOWN = 5  # omissions that a message spells out


@dataclass(frozen=True)
class RawPhotograph:
    """A picture file of a data set; `landmarks` are true ones in its pixels, where the data set has them."""

    key: str
    path: Path
    subject: str
    landmarks: NDArray[np.float64] | None = None  # (68, 2)
    lens: Lens | None = None  # that bends straight lines, where the data set knows it


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


@dataclass(frozen=True)
class Omission:
    """Something that the data set should have and has not, so that a table counts less."""

    what: str
    reason: str


class Reading(NamedTuple):
    """What a reader found, and what it did not find."""

    samples: list[RawSample]
    omitted: list[Omission]


def in_words(omitted: Sequence[Omission]) -> str:
    """The number of omissions and the first of them, for messages."""
    first = "; ".join(f"{one.what}: {one.reason}" for one in omitted[:_SHOWN])
    return f"{len(omitted)} left out: {first}{'; …' if len(omitted) > _SHOWN else ''}"


def required_folder(folder: Path, *, name: str, how_to_obtain: str) -> Path:
    """The folder, when it exists; FileNotFoundError that says how to obtain the data set otherwise."""
    if not folder.is_dir():
        raise FileNotFoundError(f"benchmarks.{name}: {folder} is not a folder. {how_to_obtain}")
    return folder


def required_samples(reading: Reading, *, folder: Path, layout: str) -> Reading:
    """What was read, when there are samples; FileNotFoundError with the expected layout otherwise."""
    if not reading.samples:
        found = f" ({in_words(reading.omitted)})" if reading.omitted else ""
        raise FileNotFoundError(f"{folder}: found no sample{found}; expected the layout {layout}")
    return reading


def evenly_chosen(paths: list[Path], count: int) -> list[Path]:
    """At most `count` of the paths, spread over the whole list."""
    if len(paths) <= count:
        return paths
    return [paths[round(index)] for index in np.linspace(0, len(paths) - 1, count)]
