"""What every stage shares: flags from a function's signature, and an end when DVC ends."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

PathFlag = Annotated[Path, typer.Option()]
TextFlag = Annotated[str, typer.Option()]

# Finished label shards (`pipelines.labelling.shard_map`) and interrupted trainings (`pipelines.checkpoints`), found
# again by fingerprint: no output of DVC, saves time, may be deleted.
MEMO = Path(".memo")

_PR_SET_PDEATHSIG = 1

# Read when torch loads its OpenMP, which comes after this module: waiting threads sleep instead of spinning, which
# matters as soon as two processes share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def run_stage(stage: Callable[..., None]) -> None:
    """Run `stage` with its keyword arguments taken from the command line; the first line of its docstring is the help.

    When `dvc` is killed, its child would live on, write beside the next run and mix both: on Linux the
    kernel ends it with its parent (`dvc.yaml` starts stages with `exec`, so that the parent is DVC).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(stage)
    app()
