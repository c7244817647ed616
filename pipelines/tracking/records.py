"""What the files of a stage contribute to its run: metrics, curves and weights."""

import csv
import json
import math
from collections.abc import Iterable
from pathlib import Path

from pipelines.tracking.lock import StageEntry, flatten
from pipelines.tracking.store import Point

_HISTORY = "history.csv"
_WEIGHTS = "weights.safetensors"
_STEP_COLUMNS = ("step", "iteration")
_GROUPS = {
    "loss": ("total", "id", "photo", "lmk", "mouth", "reg", "uniform"),
    "batch": ("without_face", "without_mouth"),
}


def stage_points(root: Path, stage: StageEntry) -> list[Point]:
    """Metrics in the JSON files and curves in the weights folders that a stage wrote."""
    points: list[Point] = []
    for path in map(Path, stage.outputs):
        if path.suffix == ".json" and "reports" in path.parts and (root / path).is_file():
            points += metric_points(root / path)
        if (root / path / _HISTORY).is_file():
            points += curve_points(root / path / _HISTORY)
    return points


def metric_points(path: Path, prefix: str = "") -> list[Point]:
    """Every number of a nested JSON file as a metric with a path-like name; NaN included."""
    tree = json.loads(path.read_text())
    return [Point(prefix + name, float(value)) for name, value in flatten(tree, "/") if isinstance(value, int | float)]


def headline_points(reports: Path) -> list[Point]:
    """The metrics of the whole pipeline: `metrics.json`, and each other JSON file under its own name."""
    points = []
    for path in sorted([*reports.glob("*.json"), *reports.glob("metrics/*.json")]):
        points += metric_points(path, "" if path.name == "metrics.json" else f"{path.stem}/")
    return points


def curve_points(path: Path) -> list[Point]:
    """The columns of a `history.csv` as curves over its `step` or `iteration` column; an empty cell is NaN."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    step_column = next((name for name in _STEP_COLUMNS if rows and name in rows[0]), None)
    return [
        Point(curve_name(name), _number(text), int(float(row[step_column])) if step_column else index)
        for index, row in enumerate(rows)
        for name, text in row.items()
        if name != step_column
    ]


def curve_name(column: str) -> str:
    """The name of a column's curve, the same while a training runs and afterwards: `loss/...`, `batch/...`."""
    group = next((name for name, columns in _GROUPS.items() if column in columns), None)
    return f"{group}/{column}" if group else column


def weights_files(root: Path, stage: StageEntry, largest_mb: float) -> list[Path]:
    """Weights that a stage wrote, with their description; none larger than `largest_mb`."""
    found: list[Path] = []
    for output in (root / path for path in stage.outputs):
        if (output / _WEIGHTS).is_file():
            found += [output / _WEIGHTS, *output.glob("*.json")]
        elif output.is_file() and "weights" in output.parent.parts:
            found.append(output)
    return _small_enough(sorted(found), largest_mb)


def trained_weights(root: Path, stage: StageEntry) -> Path | None:
    """The safetensors file that a stage wrote, if any."""
    return next((root / path / _WEIGHTS for path in stage.outputs if (root / path / _WEIGHTS).is_file()), None)


def _small_enough(paths: Iterable[Path], largest_mb: float) -> list[Path]:
    return [path for path in paths if path.stat().st_size <= largest_mb * 2**20]


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
