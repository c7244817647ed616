"""What a caption has to say of the data beside their name: which ground truth, and how much is left out."""

from pathlib import Path

from pipelines.benchmarks.common import BENCHMARKS, TWIN, read_omitted
from pipelines.params import BenchmarksParams


def data_remarks(folder: Path, params: BenchmarksParams) -> dict[str, str]:
    """A remark to follow the name of each benchmark below `folder`; "" for one that is complete and has one truth."""
    remarks = dict.fromkeys(BENCHMARKS, "")
    if params.aflw2000 != TWIN:
        remarks["aflw2000"] = f", {params.aflw2000_annotation} landmarks"
    for name in BENCHMARKS:
        omitted = read_omitted(folder / name)
        remarks[name] += f", {len(omitted)} left out (omitted.json)" if omitted else ""
    return remarks
