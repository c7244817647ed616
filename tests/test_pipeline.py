"""The whole graph on the smoke profile, in a copy of this checkout: builds, then does nothing, passes the gate."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.pipeline


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with this environment's programs; its output is shown when the test fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True)
    print(f"$ {' '.join(command)}\n{done.stdout[-6000:]}{done.stderr[-6000:]}")
    return done


def copy_of_checkout(folder: Path) -> Path:
    """The files that Git knows or would add, in a repository of their own; no data, no environment."""
    listing = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", folder=ROOT)
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "copy")):
        assert run("git", *command, folder=folder).returncode == 0
    return folder


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy in which the smoke profile has been built."""
    folder = copy_of_checkout(tmp_path_factory.mktemp("smoke"))
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("\nprofile: default\n", "\nprofile: smoke\n"))
    run("dvc", "config", "--local", "cache.type", "hardlink,symlink,copy", folder=folder)  # half of the disk space
    done = run("dvc", "repro", folder=folder)
    assert done.returncode == 0, "dvc repro failed on the smoke profile"
    yield folder
    shutil.rmtree(folder)


def test_committed_graph_is_fresh(tmp_path: Path) -> None:
    """Without any data: dvc.lock agrees with the code and the parameters of this checkout."""
    folder = copy_of_checkout(tmp_path)
    done = run("dvc", "repro", "--allow-missing", "--dry", folder=folder)
    assert done.returncode == 0
    assert "up to date" in done.stdout, "dvc.lock is older than the code: run dvc repro and commit dvc.lock"


def test_second_repro_does_nothing(smoke: Path) -> None:
    done = run("dvc", "repro", folder=smoke)
    assert done.returncode == 0
    assert "Running stage" not in done.stdout
    assert run("dvc", "status", "-q", folder=smoke).returncode == 0


def test_lock_has_exactly_the_stages_of_the_graph(smoke: Path) -> None:
    listed = run("dvc", "stage", "list", "--name-only", folder=smoke).stdout.split()
    assert sorted(yaml.safe_load((smoke / "dvc.lock").read_text())["stages"]) == sorted(listed)


def gate(folder: Path) -> tuple[int, str]:
    """Exit code and report of the regression gate."""
    done = run(
        *(sys.executable, "-m", "stages.check", "--metrics", "reports/metrics.json"),
        *("--labels", "reports/label_quality.json", "--reference", "reports/reference"),
        *("--output", "reports/gate.md", "--gate"),
        folder=folder,
    )
    return done.returncode, (folder / "reports/gate.md").read_text()


def test_benchmarks_did_not_get_worse(smoke: Path) -> None:
    code, report = gate(smoke)
    assert code == 0, report


def test_a_loss_weight_of_zero_fails_the_gate(smoke: Path, tmp_path: Path) -> None:
    """A planted regression, trained, predicted and scored by the graph's own stages in a copy of the built one.

    Without the colour loss colours, albedo, pose and the spread of identities get worse: the colour error by 2.5
    tolerances, after the smoke profile's eight iterations.
    """
    planted = tmp_path / "planted"
    shutil.copytree(smoke, planted, ignore=shutil.ignore_patterns("cache", "mlruns", "regressor"))
    params = (planted / "params.yaml").read_text()
    (planted / "params.yaml").write_text(params.replace("    photo: 1.92\n", "    photo: 0.0\n"))
    done = run("dvc", "repro", "--single-item", "train@full", "predict@full", "evaluate", folder=planted)
    assert done.returncode == 0 and done.stdout.count("Running stage") == 3
    code, report = gate(planted)
    worse = [line.split()[1] for line in report.splitlines() if "| **worse** |" in line]
    assert code == 1 and worse, report
    assert all("/full/" in metric for metric in worse), worse
    shutil.rmtree(planted)


def test_every_table_has_our_model_the_control_and_the_mean_face(smoke: Path) -> None:
    metrics = json.loads((smoke / "reports/metrics.json").read_text())
    for table in ("table1", "table2", "table3", "table4", "table5"):
        methods = set(_leaf_owners(metrics[table]))
        assert {"full", "wsl_control", "mean_face"} <= methods, f"{table}: {sorted(methods)}"


def test_real_photograph_reaches_the_page(smoke: Path) -> None:
    page = (smoke / "reports/page/index.html").read_text()
    assert "astronaut" in page
    assert "synthetic" in page


def test_changed_loss_weight_trains_again_and_nothing_before(smoke: Path) -> None:
    params = smoke / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("    uniform: 5.0\n", "    uniform: 4.0\n"))
    try:
        status = json.loads(run("dvc", "status", "--json", folder=smoke).stdout)
    finally:
        params.write_text(before)
    changed_by_parameters = {name.split("@")[0] for name, causes in status.items() if "params" in json.dumps(causes)}
    assert changed_by_parameters == {"train", "predict"}  # which refines under the same losses, when it is asked to


def _leaf_owners(tree: dict[str, object]) -> Iterator[str]:
    """Names of the branches that hold a finite number directly."""
    for name, branch in tree.items():
        if isinstance(branch, dict):
            if any(isinstance(value, float) and math.isfinite(value) for value in branch.values()):
                yield name
            yield from _leaf_owners(branch)
