"""The MLflow store behind a few plain calls; mlflow is imported when a store is opened."""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

PARENT_TAG = "mlflow.parentRunId"  # the interface nests runs by it

_BATCH = 1000  # metrics of one request, MLflow's limit
_SMALL_BATCH = 100  # parameters or tags of one request
_LONGEST_KEY = 250
_LONGEST_PARAMETER = 6000
_LONGEST_TAG = 5000
_LONGEST_DIGEST = 36
_REFUSED_IN_NAMES = re.compile(r"[^\w\-. :/]")

# Set before mlflow is imported, unless the user has set them: MLflow would try an unreachable server for minutes.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


class Point(NamedTuple):
    """One value of one metric; a metric without a curve has step 0. NaN is a value."""

    name: str
    value: float
    step: int = 0


class KnownRun(NamedTuple):
    """A run that the store already has."""

    run_id: str
    status: str  # RUNNING, FINISHED, FAILED or KILLED
    tags: dict[str, str]
    parameters: frozenset[str]
    metrics: frozenset[str]


def default_store(root: Path) -> str:
    """The store's address: `MLFLOW_TRACKING_URI`, or else the database `mlflow.db` in `root`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


class Store:
    """One experiment of one MLflow store; made when it does not exist yet."""

    def __init__(self, uri: str, experiment: str) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient, entities

        self._entities = entities
        self._uri, self._database = uri, _database_of(uri)
        with self.locked():  # two processes that make the tables at once both crash
            self._client = MlflowClient(tracking_uri=uri)
            self._experiment_id = self._find_or_create(experiment)

    def _find_or_create(self, experiment: str) -> str:
        found = self._client.get_experiment_by_name(experiment)
        if found is not None:
            return str(found.experiment_id)
        artifacts = self._database.parent / "mlruns" / experiment if self._database else None
        return str(self._client.create_experiment(experiment, artifacts.as_uri() if artifacts else None))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes of this machine out of a local database; a server needs no such lock."""
        if self._database is None:
            yield
            return
        self._database.parent.mkdir(parents=True, exist_ok=True)
        with self._database.with_name(self._database.name + ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def runs(self) -> list[KnownRun]:
        """All runs of the experiment that are not deleted, the newest first."""
        result, token = [], None
        while True:
            page = self._client.search_runs([self._experiment_id], max_results=_BATCH, page_token=token)
            result += [
                KnownRun(
                    run_id=run.info.run_id,
                    status=run.info.status,
                    tags=dict(run.data.tags),
                    parameters=frozenset(run.data.params),
                    metrics=frozenset(run.data.metrics),
                )
                for run in page
            ]
            token = page.token
            if not token:
                return result

    def create(self, name: str, tags: Mapping[str, str]) -> str:
        """Begin a run and return its id."""
        run = self._client.create_run(self._experiment_id, run_name=name, tags=_tags(tags))
        return str(run.info.run_id)

    def end(self, run_id: str, status: str = "FINISHED") -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        self._client.set_terminated(run_id, status)

    def delete(self, run_id: str) -> None:
        """Move a run to MLflow's bin."""
        self._client.delete_run(run_id)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        entities = [self._entities.RunTag(name, value) for name, value in _tags(tags).items()]
        for start in range(0, len(entities), _SMALL_BATCH):
            self._client.log_batch(run_id, tags=entities[start : start + _SMALL_BATCH])

    def parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Write parameters; MLflow refuses another value for one that the run already has."""
        entities = [self._entities.Param(_name(name), value[:_LONGEST_PARAMETER]) for name, value in parameters.items()]
        for start in range(0, len(entities), _SMALL_BATCH):
            self._client.log_batch(run_id, params=entities[start : start + _SMALL_BATCH])

    def metrics(self, run_id: str, points: Sequence[Point]) -> None:
        """Append points to the curves of a run."""
        now = int(time.time() * 1000)
        entities = [self._entities.Metric(_name(point.name), point.value, now, point.step) for point in points]
        for start in range(0, len(entities), _BATCH):
            self._client.log_batch(run_id, metrics=entities[start : start + _BATCH])

    def system_metrics(self, run_id: str) -> Callable[[], None]:
        """Begin to log the load of the machine to a run, every ten seconds from a thread; returns what ends it."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(run_id, tracking_uri=self._uri)
        monitor.start()
        end: Callable[[], None] = monitor.finish
        return end

    def inputs(self, run_id: str, hashes: Mapping[str, str]) -> None:
        """Name the data that a run read: path → hash."""
        data = [
            self._entities.Dataset(name=path, digest=digest[:_LONGEST_DIGEST], source_type="dvc", source=path)
            for path, digest in hashes.items()
        ]
        if data:
            self._client.log_inputs(run_id, [self._entities.DatasetInput(one) for one in data])

    def picture(self, run_id: str, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Add an RGB picture (H, W, 3) to a series; the interface shows the series with a slider."""
        self._client.log_image(run_id, picture, key=_name(name), step=step)

    def table(self, run_id: str, name: str, columns: Mapping[str, list[str]]) -> None:
        """Write a table that the interface can show and compare."""
        self._client.log_table(run_id, data=dict(columns), artifact_file=name)

    def file(self, run_id: str, path: Path, folder: str) -> None:
        """Copy a file, or all files of a folder, into a folder of the run's artifacts."""
        if path.is_dir():
            self._client.log_artifacts(run_id, str(path), folder)
        else:
            self._client.log_artifact(run_id, str(path), folder)

    def register(self, name: str, run_id: str, folder: str) -> None:
        """Make a folder of a run's artifacts the newest version of a registered model."""
        if not self._client.search_registered_models(f"name='{name}'"):
            self._client.create_registered_model(name)
        source = f"{self._client.get_run(run_id).info.artifact_uri}/{folder}"
        self._client.create_model_version(name, source, run_id, await_creation_for=0)


def _database_of(uri: str) -> Path | None:
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)).resolve() if uri.startswith(prefix) else None


def _name(text: str) -> str:
    return _REFUSED_IN_NAMES.sub("_", text)[:_LONGEST_KEY]


def _tags(tags: Mapping[str, Any]) -> dict[str, str]:
    return {_name(name): str(value)[:_LONGEST_TAG] for name, value in tags.items()}
