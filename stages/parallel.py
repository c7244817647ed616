"""`dvc repro` with several stages at a time; `make repro-parallel` starts it, not DVC."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from stages._stage import run_stage

JobsFlag = Annotated[int, typer.Option(help="Stages at a time; otherwise one for each GPU, or two.")]
GpusFlag = Annotated[list[str] | None, typer.Option(help="As in CUDA_VISIBLE_DEVICES; repeat it for each GPU.")]


def parallel(*, jobs: JobsFlag = 0, gpu: GpusFlag = None) -> None:
    """Bring the pipeline up to date; a plain `dvc repro` has the last word and finds nothing to do after a success."""
    from pipelines.parallel import DVC, repro

    gpus = gpu or []
    failed = repro(Path(), jobs or len(gpus) or 2, gpus)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; what had been running beside it was finished")
    sys.exit(subprocess.run([*DVC, "repro"]).returncode)


if __name__ == "__main__":
    run_stage(parallel)
