"""The accepted metrics of a profile, in a YAML file that people read, edit and commit; when metrics are comparable."""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field

from pipelines.params import BenchmarksParams, CheckParams, EvaluateParams, FaceModelParams, PhotographsParams

Direction = Literal["lower", "higher", "equal", "zero"]  # which way is better; zero: the nearer to it

# Words of a key that say that more is better; errors and distances, the rest, should be small.
_HIGHER_IS_BETTER = frozenset(
    ("accuracy", "agreement", "auc", "detected", "f1", "iou", "precision", "psnr", "rate", "recall", "ssim", "variance")
)
# Words of a key whose value is best at zero, of which no share is a tolerance; and how far it may move at least.
_ABSOLUTE_TOLERANCES = {"leak": 0.02}
_COUNTS = frozenset({"n", "count"})
_BESIDE_A_MEAN = re.compile(r"(std|paper|ci)(_|$)")
_HEAD = """\
# Accepted metrics: `make accept` rewrites them, `make check` compares with them.
# Directions and relative tolerances may be edited and are kept.
"""
_DIGITS = 6  # significant ones, in the file


class ComparableParams(NamedTuple):
    """What two runs must have in common for their numbers to be compared: data and protocol, not the method."""

    face_model: FaceModelParams
    photographs: PhotographsParams
    benchmarks: BenchmarksParams
    evaluate: EvaluateParams


class Metric(NamedTuple):
    """A measured value with the number of samples beside it."""

    value: float
    n: int | None = None
    is_count: bool = False


class ReferenceMetric(BaseModel):
    """What one metric should be, and how far it may move."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    direction: Direction
    abs_tol: float = Field(ge=0)
    rel_tol: float = Field(ge=0)
    n: int | None = None  # samples behind the value; None where the metric has no count
    std: float = 0.0  # over seeds

    @property
    def tolerance(self) -> float:
        """How much worse is still the same."""
        return 0.0 if math.isnan(self.value) else max(self.abs_tol, self.rel_tol * abs(self.value))


class Reference(BaseModel):
    """The accepted metrics of one profile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str
    reason: str  # why these values were accepted
    runs: int = Field(ge=1)  # seeds
    protocol: str  # of the shape error
    data_fingerprint: str
    metrics: dict[str, ReferenceMetric]


def reference_path(folder: Path, profile: str) -> Path:
    """Where the reference of a profile lies."""
    return folder / f"{profile}.yaml"


def read_reference(path: Path) -> Reference:
    """A reference file; ValueError naming what is wrong in it."""
    return Reference.model_validate(yaml.safe_load(path.read_text()))


def write_reference(path: Path, reference: Reference) -> None:
    """Write a reference, one metric a line, sorted."""
    tree = reference.model_dump(exclude_none=True)
    tree["metrics"] = dict(sorted(tree["metrics"].items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_HEAD + yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=200))


def data_fingerprint(comparable: ComparableParams) -> str:
    """SHA-256 over the parameters that make numbers comparable."""
    sections = {name: section.model_dump(mode="json") for name, section in comparable._asdict().items()}
    for section in sections.values():
        section.pop("workers", None)  # changes how long it takes, not what comes out
    return hashlib.sha256(json.dumps(sections, sort_keys=True).encode()).hexdigest()


def read_metrics(metrics: Path, labels: Path) -> dict[str, Metric]:
    """The means in the metrics file, and those of the label quality under `labels/`, by path-like key."""
    return dict(_means(_read_json(metrics), "")) | dict(_means(_read_json(labels), "labels/"))


def accept_files(
    metrics: Sequence[Path],
    labels: Sequence[Path],
    reference: Path,
    *,
    reason: str,
    profile: str,
    comparable: ComparableParams,
    tolerances: CheckParams,
) -> None:
    """Make the metrics of one or several runs (seeds) the profile's reference."""
    path = reference_path(reference, profile)
    earlier = read_reference(path) if path.is_file() else None
    runs = [read_metrics(*files) for files in zip(metrics, labels, strict=True)]
    accepted = accept(
        runs, profile=profile, reason=reason, comparable=comparable, tolerances=tolerances, earlier=earlier
    )
    write_reference(path, accepted)


def accept(
    runs: Sequence[Mapping[str, Metric]],
    *,
    profile: str,
    reason: str,
    comparable: ComparableParams,
    tolerances: CheckParams,
    earlier: Reference | None,
) -> Reference:
    """A reference from the metrics of one run, or of several with different seeds.

    The value is the mean over the runs and the tolerance the larger of a share of it and a multiple of the spread.
    What a person has written into an earlier reference, directions and relative tolerances, is kept.
    """
    if not reason.strip():
        raise ValueError("a reason is needed: it is what the next person reads when the check fails")
    keys = sorted(runs[0])
    for number, run in enumerate(runs):
        if sorted(run) != keys:
            odd = sorted(set(keys) ^ set(run))[0]
            raise ValueError(f"run {number} and run 0 have different metrics, e.g. {odd}; are they of one pipeline?")
    before = earlier.metrics if earlier else {}
    return Reference(
        profile=profile,
        reason=reason,
        runs=len(runs),
        protocol=comparable.evaluate.protocol,
        data_fingerprint=data_fingerprint(comparable),
        metrics={key: _accepted(key, [run[key] for run in runs], tolerances, before.get(key)) for key in keys},
    )


def _accepted(key: str, seen: Sequence[Metric], params: CheckParams, before: ReferenceMetric | None) -> ReferenceMetric:
    counts = {metric.n for metric in seen}
    if len(counts) > 1:
        raise ValueError(f"{key}: the runs have different sample counts {sorted(counts, key=str)}")
    values = np.array([metric.value for metric in seen])
    finite = values[np.isfinite(values)]
    spread = float(finite.std(ddof=1)) if len(finite) > 1 else 0.0
    relative = 0.0 if seen[0].is_count else params.relative_tolerance
    return ReferenceMetric(
        value=_rounded(finite.mean()) if len(finite) else math.nan,
        direction=before.direction if before else _usual_direction(key, seen[0]),
        abs_tol=_rounded(max(params.tolerance_in_spreads * spread, _least_tolerance(key))),
        rel_tol=before.rel_tol if before else relative,
        n=seen[0].n,
        std=_rounded(spread),
    )


def _usual_direction(key: str, metric: Metric) -> Direction:
    if metric.is_count:
        return "equal"
    if _ABSOLUTE_TOLERANCES.keys() & _words(key):
        return "zero"
    return "higher" if _HIGHER_IS_BETTER & _words(key) else "lower"


def _least_tolerance(key: str) -> float:
    return max((_ABSOLUTE_TOLERANCES[word] for word in _ABSOLUTE_TOLERANCES.keys() & _words(key)), default=0.0)


def _words(key: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", key.lower()))


def _means(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Metric]]:
    count = next((int(tree[name]) for name in sorted(_COUNTS) if isinstance(tree.get(name), int | float)), None)
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _means(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and name not in _COUNTS and not _BESIDE_A_MEAN.match(name):
            yield prefix + name, Metric(float(value), count, isinstance(value, int))


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no metrics; run the stage that writes them first")
    return dict(json.loads(path.read_text()))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
