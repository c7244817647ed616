"""Collects a folder of photographs in a process of its own, for a test that kills it.

`python -m tests.collecting_process ROOT SOURCE`: ROOT holds the face model and gets the output.
"""

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.face_model_file import save_face_model
from pipelines.params import PhotographsParams
from pipelines.photographs.collect import collect_photographs
from pipelines.shards import read_rows
from tests.toy import toy_face_arrays

FACE_MODEL, PHOTOGRAPHS, TRUTH, MEMO = "face_model.h5", "photographs", "truth", "memo"


def photographs_params(source: Path | str, **changes: Any) -> PhotographsParams:
    """Parameters of few and small photographs."""
    values: dict[str, Any] = {
        "source": str(source), "layout": "auto", "extra": (), "people": 4 if source == "synthetic" else 1,
        "photographs_per_person": 2, "size": 128, "test_photographs": 0,
        "test_fraction": 0.25, "validation_fraction": 0.25, "maximum_megapixels": 1.0, "minimum_side": 64,
        "longest_side": 300, "glasses_fraction": 0.2, "hat_fraction": 0.2, "occluder_fraction": 0.2,
        "specular_lights": 1, "keys_per_shard": 3, "workers": 1, "seed": 1,
    }  # fmt: skip
    return PhotographsParams(**{**values, **changes})


def write_face_model(root: Path) -> None:
    """The toy face, where `collect` expects it."""
    save_face_model(root / FACE_MODEL, toy_face_arrays())


def collect(root: Path, source: Path | str, **changes: Any) -> pd.DataFrame:
    """Collect with the memo under `root`; rows by name."""
    collect_photographs(
        root / FACE_MODEL,
        root / PHOTOGRAPHS,
        root / TRUTH,
        params=photographs_params(source, **{"keys_per_shard": 32, **changes}),
        distance_mm=1000.0,
        memo=root / MEMO,
    )
    return read_rows(root / PHOTOGRAPHS).set_index("name")


if __name__ == "__main__":
    collect(Path(sys.argv[1]), Path(sys.argv[2]))
