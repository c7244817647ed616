"""Runs of the pipeline with several seeds, each a DVC experiment.

Every seed is a DVC experiment `<name>-<seed>` of the present state, run in a folder of its own (`dvc exp run --temp`)
with the stages up to `evaluate`; it stays for `dvc exp show`. What does not depend on the seed comes from DVC's cache.
So does a seed that has been run before with the same code and parameters, such as that of `params.yaml` itself.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipelines.seeds.report import write_seed_report
from pipelines.seeds.study import Study

TABLES = "reports/tables"
TARGET = "evaluate"
DVC = (sys.executable, "-m", "dvc")


def run_study(study: Study, root: Path, output: Path) -> None:
    """Run the seeds one after the other in the repository `root`, then write the report on them into `output`."""
    if not study.seeds or len(set(study.seeds)) < len(study.seeds):
        raise ValueError(f"seeds: expected different ones, got {list(study.seeds)}")
    with tempfile.TemporaryDirectory() as folder:
        tables = {seed: Path(folder) / str(seed) for seed in study.seeds}
        for seed, extracted in tables.items():
            run_seed(study, seed, root)
            extract_tables(f"{study.name}-{seed}", root, extracted)
        write_seed_report(study, tables, output)


def run_seed(study: Study, seed: int, root: Path) -> None:
    """Run the experiment of a seed in the repository `root`, in place of an earlier one of the same commit."""
    name = f"{study.name}-{seed}"
    if _output(["git", "for-each-ref", experiment_ref(name, root)], root):
        _run([*DVC, "exp", "remove", name], root)
    changes = (*study.changes, f"pretrain.seed={seed}", f"train.seed={seed}")
    flags = [word for change in changes for word in ("--set-param", change)]
    _run([*DVC, "exp", "run", "--temp", "--name", name, *flags, TARGET], root)


def extract_tables(experiment: str, root: Path, output: Path) -> None:
    """Write the tables that an experiment has committed into `output`."""
    archive = _output(["git", "archive", "--format=tar", f"{experiment_ref(experiment, root)}:{TABLES}"], root)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(output, filter="data")


def experiment_ref(experiment: str, root: Path) -> str:
    """Where Git keeps an experiment that began at the present commit."""
    commit = _output(["git", "rev-parse", "HEAD"], root).decode().strip()
    return f"refs/exps/{commit[:2]}/{commit[2:]}/{experiment}"


def _run(command: Sequence[str], root: Path) -> None:
    subprocess.run(command, cwd=root, check=True)


def _output(command: Sequence[str], root: Path) -> bytes:
    return subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout
