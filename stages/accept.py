"""Makes the present metrics the reference that `check` compares with; started by hand, not by DVC."""

from pathlib import Path
from typing import Annotated

import typer

from stages._params import load_params, load_profile
from stages._stage import PathFlag, TextFlag, run_stage

PathsFlag = Annotated[list[Path], typer.Option()]


def accept(*, reason: TextFlag, metrics: PathsFlag, labels: PathsFlag, reference: PathFlag) -> None:
    """Rewrite the profile's reference from one run, or from several seeds: repeat --metrics and --labels for each."""
    params, profile = load_params(), load_profile()
    from pipelines.reference import ComparableParams, accept_files

    comparable = ComparableParams(params.face_model, params.photographs, params.benchmarks, params.evaluate)
    accept_files(
        metrics, labels, reference, reason=reason, profile=profile, comparable=comparable, tolerances=params.check
    )


if __name__ == "__main__":
    run_stage(accept)
