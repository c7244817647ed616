"""Compares fresh metrics with the reference: what got worse, what got better, and what cannot be compared.

A comparison that cannot be made never reads as a pass.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from pipelines.reference import (
    ComparableParams,
    Metric,
    Reference,
    ReferenceMetric,
    data_fingerprint,
    read_metrics,
    read_reference,
    reference_path,
)

_WISHES = {
    "lower": "lower is better",
    "higher": "higher is better",
    "equal": "should be equal",
    "zero": "nearer to zero is better",
}
_SUSPICIOUS = 3.0  # an improvement of so many tolerances is usually a leak
_COUNT_TOLERANCE = 0.05  # of the samples, at least one: another processor may round MTCNN to one face more or less


class Status(StrEnum):
    """What the comparison of one metric says, the gravest first."""

    WORSE = "worse"
    MISSING = "missing"
    UNEXPECTED_NAN = "unexpectedly NaN"
    NOT_COMPARABLE = "not comparable"
    SUSPICIOUS = "suspiciously better"
    UNEXPECTED_FINITE = "unexpectedly finite"
    BETTER = "better"
    NEW = "new"
    SAME = "same"


FAILING = frozenset({Status.WORSE, Status.MISSING, Status.UNEXPECTED_NAN, Status.NOT_COMPARABLE})


class Verdict(NamedTuple):
    """The comparison of one metric; numbers that do not exist are NaN."""

    key: str
    status: Status
    expected: float
    value: float
    tolerance: float
    note: str = ""


def check_files(
    metrics: Path, labels: Path, reference: Path, output: Path, *, profile: str, comparable: ComparableParams
) -> bool:
    """Write the comparison with the profile's reference as Markdown; whether the fresh metrics pass.

    Without a reference, or with one of other data, nothing can be compared, and that does not pass.
    """
    fresh = read_metrics(metrics, labels)
    path = reference_path(reference, profile)
    report, passed = _compared(fresh, read_reference(path) if path.is_file() else None, data_fingerprint(comparable))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)  # never edited in place: it may be a link into DVC's cache
    output.write_text(f"# Regression check, profile {profile}\n\n{report}")
    print(output.read_text())
    return passed


def check(metrics: Mapping[str, Metric], reference: Reference) -> list[Verdict]:
    """One verdict for each metric of the reference and for each new one, the gravest first."""
    verdicts = [_verdict(key, old, metrics.get(key)) for key, old in reference.metrics.items()]
    verdicts += [
        Verdict(key, Status.NEW, math.nan, metric.value, math.nan)
        for key, metric in metrics.items()
        if key not in reference.metrics
    ]
    order = list(Status)
    return sorted(verdicts, key=lambda verdict: (order.index(verdict.status), verdict.key))


def passes(verdicts: Sequence[Verdict]) -> bool:
    """Whether nothing got worse, is missing or could not be compared."""
    return not any(verdict.status in FAILING for verdict in verdicts)


def markdown(verdicts: Sequence[Verdict], reference: Reference) -> str:
    """What changed, as a table; unchanged metrics are only counted."""
    counts = Counter(verdict.status for verdict in verdicts)
    summary = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status]) or "no metrics"
    lines = [
        f"**{'passed' if passes(verdicts) else 'FAILED'}**: {summary}.",
        "",
        f"Reference: {reference.runs} run(s), protocol {reference.protocol}; accepted because: {reference.reason}",
    ]
    changed = [verdict for verdict in verdicts if verdict.status is not Status.SAME]
    if changed:
        lines += [
            "",
            "| metric | verdict | expected | now | change | tolerance | |",
            "|---|---|---:|---:|---:|---:|---|",
        ]
        lines += [_row(verdict) for verdict in changed]
    return "\n".join(lines) + "\n"


def _compared(fresh: Mapping[str, Metric], reference: Reference | None, fingerprint: str) -> tuple[str, bool]:
    if reference is None:
        return "Not comparable: this profile has no reference yet.\n", False
    if reference.data_fingerprint != fingerprint:
        return "Not comparable: the reference was accepted with other parameters of the data or the protocol.\n", False
    verdicts = check(fresh, reference)
    return markdown(verdicts, reference), passes(verdicts)


def _verdict(key: str, old: ReferenceMetric, new: Metric | None) -> Verdict:
    if new is None:
        return Verdict(key, Status.MISSING, old.value, math.nan, old.tolerance)
    status, note = _status(old, new)
    return Verdict(key, status, old.value, new.value, old.tolerance, note)


def _status(old: ReferenceMetric, new: Metric) -> tuple[Status, str]:
    if not _same_samples(old.n, new.n):
        return Status.NOT_COMPARABLE, f"{new.n} samples instead of {old.n}"
    if math.isnan(new.value):
        return (Status.SAME, "NaN is expected") if math.isnan(old.value) else (Status.UNEXPECTED_NAN, "")
    if math.isnan(old.value):
        return Status.UNEXPECTED_FINITE, "was NaN"
    change = new.value - old.value
    farther = abs(new.value) - abs(old.value)
    loss = {"lower": change, "higher": -change, "equal": abs(change), "zero": farther}[old.direction]
    if loss > old.tolerance:
        return Status.WORSE, _WISHES[old.direction]
    if loss < -_SUSPICIOUS * old.tolerance:
        return Status.SUSPICIOUS, "usually a leak; accept it when it is understood"
    return (Status.BETTER, "") if loss < -old.tolerance else (Status.SAME, "")


def _same_samples(old: int | None, new: int | None) -> bool:
    """Whether two metrics rest on about the same samples; a metric without samples has None."""
    if old is None or new is None:
        return old == new
    return abs(new - old) <= max(1, _COUNT_TOLERANCE * old)


def _row(verdict: Verdict) -> str:
    change = verdict.value - verdict.expected
    numbers = " | ".join(_number(value) for value in (verdict.expected, verdict.value, change, verdict.tolerance))
    status = f"**{verdict.status}**" if verdict.status in FAILING else str(verdict.status)
    return f"| {verdict.key} | {status} | {numbers} | {verdict.note} |"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"
