"""What ran on what, and how good the labels are, as rows of words."""

import json
from pathlib import Path
from typing import Any

from models.face_model import FaceModel
from pipelines.params import BenchmarksParams
from pipelines.reporting.figures import TWIN
from pipelines.shards import read_rows

Rows = list[tuple[str, str]]


def run_facts(model: FaceModel, labels: Path, benchmarks: BenchmarksParams) -> Rows:
    """Face model, photographs, networks and benchmarks of this run."""
    rows = read_rows(labels / "aligned")
    kept = rows[rows["status"] == "kept"]
    splits = ", ".join(f"{count} {split}" for split, count in sorted(kept["split"].value_counts().items()))
    networks = ", ".join(sorted(read_rows(labels / "landmarks")["network"].unique()))
    synthetic = int(kept["synthetic"].sum())
    return [
        ("face model", f"{model.arrays.source}, {len(model.mean_shape)} vertices"),
        ("photographs", f"{synthetic} synthetic, {len(kept) - synthetic} real; {len(rows) - len(kept)} rejected"),
        ("split", splits),
        ("landmarks by", networks),
        *((name, _source(getattr(benchmarks, name))) for name in ("micc", "facescape", "aflw2000")),
    ]


def _source(value: str) -> str:
    return "synthetic twin" if value == TWIN else "real data set"


def label_quality(path: Path) -> dict[str, Rows]:
    """The label-quality numbers as rows, by label."""
    tree = json.loads(path.read_text())
    groups = {name: value for name, value in tree.items() if isinstance(value, dict)}
    loose = {name: value for name, value in tree.items() if not isinstance(value, dict)}
    return {name: list(_rows(group)) for name, group in {**groups, **({"": loose} if loose else {})}.items()}


def _rows(tree: dict[str, Any], prefix: str = "") -> Rows:
    rows: Rows = []
    for name, value in tree.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, dict):
            rows += _rows(value, f"{prefix}{name} · ")
        else:
            rows.append((label, f"{value:.4g}" if isinstance(value, float) else str(value)))
    return rows
