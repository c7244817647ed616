"""Compares the metrics with the accepted ones of the profile."""

import sys
from typing import Annotated

import typer

from stages._params import load_params, load_profile
from stages._stage import PathFlag, run_stage


def check(
    *,
    metrics: PathFlag,
    labels: PathFlag,
    reference: PathFlag,
    output: PathFlag,
    gate: Annotated[bool, typer.Option("--gate", help="Fail when something got worse or cannot be compared.")] = False,
) -> None:
    """What got worse, better, lost or incomparable since the reference was accepted."""
    params, profile = load_params(), load_profile()
    from pipelines.reference import ComparableParams
    from pipelines.regression_check import check_files

    comparable = ComparableParams(params.face_model, params.photographs, params.benchmarks, params.evaluate)
    passed = check_files(metrics, labels, reference, output, profile=profile, comparable=comparable)
    if gate and not passed:
        sys.exit(1)


if __name__ == "__main__":
    run_stage(check)
