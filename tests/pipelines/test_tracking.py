"""MLflow mirrors DVC's files: runs are reused, adopted and written again, and never needed."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from models.coefficients import CoefficientSizes
from models.networks.regressor import Regressor
from pipelines.regression_network import save_regressor
from pipelines.tracking import LiveRun
from pipelines.tracking.lock import read_lock
from pipelines.tracking.store import PARENT_TAG, KnownRun, Store
from pipelines.tracking.sync import FINGERPRINT_TAG, KIND_TAG, SyncResult, sync, track_pipeline
from pipelines.weights import EXAMPLE
from tests.training_process import toy_regressor_params

EXPERIMENT = "test"


class Checkout:
    """A folder with a `dvc.lock`, two trained variants and their metrics."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = root / "dvc.lock"
        self.reports = root / "reports"
        self.stages = {
            "photographs": {"cmd": "photographs", "outs": [{"path": "data/photographs", "md5": "aa.dir"}]},
            "train@full": self._train("full", learning_rate=0.1),
            "train@no_id": self._train("no_id", learning_rate=0.1),
            "evaluate": {
                "cmd": "evaluate",
                "deps": [{"path": "data/weights/regressor/full", "md5": "full0.1.dir"}],
                "outs": [{"path": "reports/metrics.json", "md5": "cc"}],
            },
            "track": {"cmd": "track", "outs": [{"path": "reports/tracking.json", "md5": "changes"}]},
        }
        self.write()

    def _train(self, variant: str, learning_rate: float) -> dict[str, object]:
        folder = self.root / f"data/weights/regressor/{variant}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.safetensors").write_bytes(f"{variant} {learning_rate}".encode())
        (folder / "network.json").write_text("{}")
        (folder / "history.csv").write_text("step,total,mouth,images_per_second\n0,2.0,,7\n10,1.0,0.5,8\n")
        return {
            "cmd": f"train {variant}",
            "deps": [{"path": "data/photographs", "md5": "aa.dir"}, {"path": "stages/train.py", "md5": "ee"}],
            "params": {"params.yaml": {"train": {"learning_rate": learning_rate, "losses": ["id", "photo"]}}},
            "outs": [{"path": f"data/weights/regressor/{variant}", "md5": f"{variant}{learning_rate}.dir"}],
        }

    def retrain(self, variant: str, learning_rate: float) -> None:
        self.stages[f"train@{variant}"] = self._train(variant, learning_rate)
        self.write()

    def train_really(self, variant: str) -> Regressor:
        """An untrained network in place of the made-up weights."""
        params = toy_regressor_params(input_size=16)
        network = Regressor(params.backbone, CoefficientSizes(6, 5, 4, lights=2, shininess=7)).eval()
        folder = self.root / f"data/weights/regressor/{variant}"
        save_regressor(folder, network, params, pd.read_csv(folder / "history.csv"), {})
        Image.new("RGB", (16, 16), (180, 130, 100)).save(folder / EXAMPLE)
        return network

    def write(self) -> None:
        self.reports.mkdir(exist_ok=True)
        metrics = '{"table1": {"full": {"mean": 0.04, "n": 12}, "no_lmk": {"mean": NaN}}, "note": "text"}'
        (self.reports / "metrics.json").write_text(metrics)
        (self.reports / "metrics").mkdir(exist_ok=True)
        (self.reports / "metrics/labels.json").write_text('{"face_iou": 0.95}')
        self.lock.write_text(yaml.safe_dump({"schema": "2.0", "stages": self.stages}))


@pytest.fixture(scope="module")
def store_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all tests: making it takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def synchronize(store_uri: str, request: pytest.FixtureRequest) -> Callable[[Checkout], SyncResult]:
    """Synchronise with an experiment of the test's own."""
    return lambda checkout: sync(
        checkout.lock, checkout.reports, store=store_uri, experiment=request.node.name, largest_artifact_mb=1
    )


@pytest.fixture
def store(store_uri: str, request: pytest.FixtureRequest) -> Store:
    return Store(store_uri, request.node.name)


def by_id(store: Store) -> dict[str, KnownRun]:
    return {run.run_id: run for run in store.runs()}


def test_every_stage_but_track_gets_a_child_of_one_parent(checkout, synchronize, store):
    result = synchronize(checkout)
    runs = by_id(store)
    assert sorted(result.run_ids) == ["evaluate", "photographs", "train@full", "train@no_id"]
    assert len(runs) == 5
    assert all(run.status == "FINISHED" for run in runs.values())
    assert all(runs[run_id].tags[PARENT_TAG] == result.parent_id for run_id in result.run_ids.values())
    assert runs[result.parent_id].tags[KIND_TAG] == "pipeline"


def test_a_child_has_parameters_curves_hashes_and_weights(checkout, synchronize, store):
    run_id = synchronize(checkout).run_ids["train@full"]
    run = store._client.get_run(run_id)
    assert run.data.params == {"train.learning_rate": "0.1", "train.losses": '["id", "photo"]'}
    assert run.data.metrics["loss/total"] == 1.0
    history = store._client.get_metric_history(run_id, "loss/mouth")
    assert [point.step for point in history] == [0, 10]
    assert math.isnan(history[0].value) and history[1].value == 0.5
    assert run.data.tags["dvc.out.data/weights/regressor/full"] == "full0.1.dir"
    assert [(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs] == [
        ("data/photographs", "aa.dir")
    ]
    names = [file.path for file in store._client.list_artifacts(run_id, "weights")]
    assert names == ["weights/network.json", "weights/weights.safetensors"]


def test_the_parent_has_headline_metrics_reports_and_the_run_of_each_stage(checkout, synchronize, store):
    result = synchronize(checkout)
    metrics = store._client.get_run(result.parent_id).data.metrics
    assert metrics["table1/full/mean"] == 0.04
    assert math.isnan(metrics["table1/no_lmk/mean"])
    assert metrics["labels/face_iou"] == 0.95
    stages = json.loads(Path(store._client.download_artifacts(result.parent_id, "stages.json")).read_text())
    assert dict(row[:2] for row in stages["data"]) == result.run_ids
    assert store._client.list_artifacts(result.parent_id, "reports")


def test_the_same_state_again_creates_nothing(checkout, synchronize, store):
    first = synchronize(checkout)
    again = synchronize(checkout)
    assert again.created == ()
    assert again.run_ids == first.run_ids and again.parent_id == first.parent_id
    assert len(store.runs()) == 5


def test_a_skipped_stage_keeps_its_run_and_its_first_parent(checkout, synchronize, store):
    first = synchronize(checkout)
    checkout.retrain("full", learning_rate=0.2)
    second = synchronize(checkout)
    assert second.created == ("train@full",)
    assert second.parent_id != first.parent_id
    assert second.run_ids["train@no_id"] == first.run_ids["train@no_id"]
    runs = by_id(store)
    assert runs[second.run_ids["train@no_id"]].tags[PARENT_TAG] == first.parent_id
    assert runs[second.run_ids["train@full"]].tags[PARENT_TAG] == second.parent_id


def test_the_full_regressor_becomes_a_model_with_signature_and_example(checkout, store, store_uri, request):
    network = checkout.train_really("full")
    options = {"store": store_uri, "experiment": request.node.name, "largest_artifact_mb": 100.0}
    run_id = sync(checkout.lock, checkout.reports, **options).run_ids["train@full"]
    (version,) = [one for one in store._client.search_model_versions("name='facet-regressor'") if one.run_id == run_id]
    import mlflow

    mlflow.set_tracking_uri(store_uri)
    model = mlflow.pyfunc.load_model(f"models:/facet-regressor/{version.version}")
    assert model.input_example.shape == (1, 16, 16, 3)
    crops = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    found = model.predict(crops)
    with torch.inference_mode():
        expected = network(torch.from_numpy(crops).permute(0, 3, 1, 2) / 255)
    assert set(found) == set(expected._fields) == {output.name for output in model.metadata.signature.outputs}
    for name, group in expected._asdict().items():
        np.testing.assert_allclose(found[name], group, rtol=1e-4, atol=1e-5)
        spec = next(output for output in model.metadata.signature.outputs if output.name == name)
        assert spec.shape[1:] == tuple(group.shape[1:])
    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        model.predict(crops[:, :8])


def test_a_regressor_without_example_is_not_registered(checkout, synchronize, store, capsys):
    run_id = synchronize(checkout).run_ids["train@full"]
    assert "no example.jpg, so it is not registered" in capsys.readouterr().err
    assert run_id not in [one.run_id for one in store._client.search_model_versions("name='facet-regressor'")]


def test_what_a_killed_synchronisation_left_is_completed(checkout, synchronize, store):
    fingerprint = read_lock(checkout.lock).fingerprint
    parent_id = store.create("pipeline", {KIND_TAG: "pipeline", FINGERPRINT_TAG: fingerprint})
    half_written = store.create("train@full", {KIND_TAG: "stage", PARENT_TAG: parent_id})
    result = synchronize(checkout)
    assert result.parent_id == parent_id
    assert half_written not in by_id(store)
    assert all(run.status == "FINISHED" for run in store.runs())


def test_a_finished_live_run_with_the_same_weights_is_adopted(checkout, synchronize, store, store_uri, request):
    weights = checkout.root / "data/weights/regressor/full/weights.safetensors"
    parameters = {"train.learning_rate": 0.1}
    with LiveRun(
        "train@full", experiment=request.node.name, parameters=parameters, enabled=True, store=store_uri
    ) as live:
        for step in range(5):
            live.metrics({"loss/total": 5.0 - step}, step)
        live.picture("sheet", np.full((8, 8, 3), 128, np.uint8), 4)
        live.finish(weights)
    result = synchronize(checkout)
    assert result.adopted == ("train@full",)
    run_id = result.run_ids["train@full"]
    assert len(store._client.get_metric_history(run_id, "loss/total")) == 5
    assert store._client.get_metric_history(run_id, "loss/mouth")
    assert by_id(store)[run_id].tags[PARENT_TAG] == result.parent_id
    assert synchronize(checkout).adopted == ()
    assert len(store.runs()) == 5


def test_a_live_run_with_other_weights_or_of_another_stage_is_not_adopted(checkout, synchronize, store_uri, request):
    weights = checkout.root / "data/weights/regressor/full/weights.safetensors"
    other = checkout.root / "other.safetensors"
    other.write_bytes(b"other")
    for stage, path in (("train@full", other), ("train@no_id", weights)):
        with LiveRun(stage, experiment=request.node.name, parameters={}, enabled=True, store=store_uri) as live:
            live.finish(path)
    assert synchronize(checkout).adopted == ()


def test_the_load_of_the_machine_is_logged_until_the_end(store, store_uri, request, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.02")
    before = set(threading.enumerate())
    with LiveRun("train@full", experiment=request.node.name, parameters={}, enabled=True, store=store_uri):
        deadline = time.monotonic() + 60
        while not any(name.startswith("system/") for name in store.runs()[0].metrics):
            assert time.monotonic() < deadline, "nothing was logged"
            time.sleep(0.05)
    assert "system/cpu_utilization_percentage" in store.runs()[0].metrics
    assert "SystemMetricsMonitor" not in {thread.name for thread in set(threading.enumerate()) - before}


def test_a_training_that_fails_leaves_a_failed_run(store, store_uri, request):
    with (
        pytest.raises(RuntimeError),
        LiveRun("train@full", experiment=request.node.name, parameters={}, enabled=True, store=store_uri) as live,
    ):
        live.metrics({"loss/total": 1.0}, 0)
        raise RuntimeError("out of memory")
    (run,) = store.runs()
    assert run.status == "FAILED"
    assert "loss/total" in run.metrics


def test_the_live_run_of_a_killed_process_is_ended(checkout, synchronize, store, store_uri, request):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    live = LiveRun("train@full", experiment=request.node.name, parameters={}, enabled=True, store=store_uri)
    live.__enter__()
    process = by_id(store)[live._run_id].tags["facet.process"]
    assert process.endswith(f":{os.getpid()}")
    store.tag(live._run_id, {"facet.process": process.replace(f":{os.getpid()}", f":{dead.pid}")})
    synchronize(checkout)
    assert by_id(store)[live._run_id].status == "KILLED"


def test_an_unreachable_store_kills_neither_training_nor_pipeline(checkout, capsys, monkeypatch):
    uri = f"sqlite:///{checkout.root / 'reports/metrics.json/mlflow.db'}"  # its folder is a file
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with LiveRun("train@full", experiment=EXPERIMENT, parameters={}, enabled=True) as live:
        live.metrics({"loss/total": 1.0}, 0)
        live.picture("sheet", checkout.root / "missing.png", 0)
        live.finish(checkout.root / "data/weights/regressor/full/weights.safetensors")
    assert capsys.readouterr().err.count("live tracking ends, training goes on") == 1
    output = checkout.reports / "tracking.json"
    track_pipeline(checkout.lock, checkout.reports, output, experiment=EXPERIMENT, largest_artifact_mb=1)
    assert "MLflow was not brought up to date" in capsys.readouterr().err
    assert set(json.loads(output.read_text())["stages"]) == set(checkout.stages) - {"track"}


def test_a_disabled_live_run_never_imports_mlflow(checkout):
    program = """
import sys
from pathlib import Path
from pipelines.tracking import LiveRun
with LiveRun("train@full", experiment="e", parameters={}, enabled=False) as live:
    live.metrics({"loss/total": 1.0}, 0)
    live.finish(Path("nowhere"))
assert "mlflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def test_fingerprints_change_with_the_entry_only(checkout):
    before = read_lock(checkout.lock)
    checkout.stages["track"]["outs"][0]["md5"] = "other"
    checkout.write()
    assert read_lock(checkout.lock) == before
    checkout.retrain("full", learning_rate=0.2)
    after = read_lock(checkout.lock)
    changed = [old.name for old, new in zip(before.stages, after.stages, strict=True) if old != new]
    assert changed == ["train@full"]
    assert after.fingerprint != before.fingerprint


def test_a_missing_lock_file_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="dvc repro"):
        read_lock(tmp_path / "dvc.lock")


def test_a_deleted_store_is_filled_again(checkout, tmp_path, store_uri):
    database = Path(store_uri.removeprefix("sqlite:///"))
    empty = tmp_path / "empty.db"  # copied, because making the tables anew takes seconds; nothing of this experiment
    shutil.copy(database, empty)
    uri = f"sqlite:///{empty}"
    state = {"store": uri, "experiment": "refilled", "largest_artifact_mb": 1.0}
    result = sync(checkout.lock, checkout.reports, **state)
    assert len(result.created) == 4
    digest = hashlib.sha256(
        Path(
            Store(uri, "refilled")._client.download_artifacts(
                result.run_ids["train@full"], "weights/weights.safetensors"
            )
        ).read_bytes()
    ).hexdigest()
    expected = checkout.root / "data/weights/regressor/full/weights.safetensors"
    assert digest == hashlib.sha256(expected.read_bytes()).hexdigest()
