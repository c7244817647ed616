"""Runs of the pipeline with several seeds, each a DVC experiment.

Every seed is a DVC experiment `seed-<n>` of the present state, run in a folder of its own (`dvc exp run --temp`) with
the stages up to `evaluate`; it stays for `dvc exp show`. What does not depend on the seed comes from DVC's cache. So
does a seed that has been run before with the same code and parameters.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipelines.initialization import initialization_text
from pipelines.params import RegressorParams
from pipelines.seeds.report import write_seed_report

TABLES = "reports/tables"
TARGET = "evaluate"
DVC = (sys.executable, "-m", "dvc")


def report_seeds(seeds: Sequence[int], root: Path, output: Path, *, profile: str, regressor: RegressorParams) -> None:
    """Run the seeds one after the other in the repository `root`, then write the report on them into `output`."""
    if len(set(seeds)) < 2:
        raise ValueError(f"seeds: expected at least two different ones, got {list(seeds)}")
    with tempfile.TemporaryDirectory() as folder:
        tables = {seed: Path(folder) / str(seed) for seed in seeds}
        for seed, extracted in tables.items():
            run_seed(seed, root)
            extract_tables(seed, root, extracted)
        write_seed_report(tables, output, profile=profile, initialization=initialization_text(regressor))


def run_seed(seed: int, root: Path) -> None:
    """Run the experiment of a seed in the repository `root`, in place of an earlier one of the same commit."""
    if _output(["git", "for-each-ref", experiment_ref(seed, root)], root):
        _run([*DVC, "exp", "remove", _name(seed)], root)
    changes = [f"pretrain.seed={seed}", f"train.seed={seed}", "train.live_tracking=false"]
    flags = [word for change in changes for word in ("--set-param", change)]
    _run([*DVC, "exp", "run", "--temp", "--name", _name(seed), *flags, TARGET], root)


def extract_tables(seed: int, root: Path, output: Path) -> None:
    """Write the tables that the experiment of a seed has committed into `output`."""
    archive = _output(["git", "archive", "--format=tar", f"{experiment_ref(seed, root)}:{TABLES}"], root)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(output, filter="data")


def experiment_ref(seed: int, root: Path) -> str:
    """Where Git keeps the experiment of a seed that began at the present commit."""
    commit = _output(["git", "rev-parse", "HEAD"], root).decode().strip()
    return f"refs/exps/{commit[:2]}/{commit[2:]}/{_name(seed)}"


def _name(seed: int) -> str:
    return f"seed-{seed}"


def _run(command: Sequence[str], root: Path) -> None:
    subprocess.run(command, cwd=root, check=True)


def _output(command: Sequence[str], root: Path) -> bytes:
    return subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout
