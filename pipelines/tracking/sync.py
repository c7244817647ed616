"""Brings the MLflow store up to the state of the pipeline: a parent run per state, a child per result of a stage.

A child is found again by the fingerprint of its stage, so that stages which DVC skipped keep their earlier run; the
parent's `stages.json` names the run of every stage. Doing it again creates nothing; an empty store is filled anew.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipelines.shards import sha256_of
from pipelines.tracking.live import LIVE_TAG, PROCESS_TAG, WEIGHTS_TAG
from pipelines.tracking.lock import PipelineState, StageEntry, read_lock
from pipelines.tracking.package import EXAMPLE, package
from pipelines.tracking.records import headline_points, stage_points, trained_weights, weights_files
from pipelines.tracking.store import PARENT_TAG, KnownRun, Store, default_store

KIND_TAG = "facet.kind"
STAGE_TAG = "facet.stage"
FINGERPRINT_TAG = "facet.fingerprint"
REGISTERED_STAGE = "train@full"
REGISTERED_MODEL = "facet-regressor"


class SyncResult(NamedTuple):
    """What a synchronisation did."""

    parent_id: str
    run_ids: dict[str, str]  # stage → run
    created: tuple[str, ...]  # stages with a new run
    adopted: tuple[str, ...]  # stages whose live run became theirs


def track_pipeline(
    lock_file: Path, reports: Path, output: Path, *, experiment: str, largest_artifact_mb: float
) -> None:
    """Write the fingerprints and bring the store up to date.

    A store that cannot be reached is reported and does not fail the pipeline: it mirrors what DVC has, and
    doing this again later fills it.
    """
    write_fingerprints(lock_file, output)
    store = default_store(lock_file.parent)
    try:
        result = sync(lock_file, reports, store=store, experiment=experiment, largest_artifact_mb=largest_artifact_mb)
    except Exception as error:  # whatever a server can answer
        print(f"MLflow was not brought up to date: {type(error).__name__}: {error}", file=sys.stderr)
        return
    print(f"MLflow: {len(result.created)} new runs, {len(result.adopted)} live runs adopted, of {len(result.run_ids)}")


def write_fingerprints(lock_file: Path, output: Path) -> None:
    """Write the fingerprints of the pipeline and its stages as JSON; no run ids, so that DVC sees the same bytes."""
    text = json.dumps(read_lock(lock_file).fingerprints(), indent=1, sort_keys=True) + "\n"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)  # never edited in place: it may be a link into DVC's cache
    output.write_text(text)


def sync(lock_file: Path, reports: Path, *, store: str, experiment: str, largest_artifact_mb: float) -> SyncResult:
    """Mirror the results that `lock_file` describes into the store; paths in it are relative to its folder."""
    state = read_lock(lock_file)
    client = Store(store, experiment)
    with client.locked():
        return _Synchronizer(client, state, lock_file.parent, largest_artifact_mb).run(reports)


class _Synchronizer:
    def __init__(self, store: Store, state: PipelineState, root: Path, largest_artifact_mb: float) -> None:
        self.store = store
        self.state = state
        self.root = root
        self.largest_artifact_mb = largest_artifact_mb
        self.finished: dict[str, str] = {}  # fingerprint → run
        self.interrupted: dict[str, str] = {}  # fingerprint → parent run that a killed synchronisation left
        self.live: dict[tuple[str, str], KnownRun] = {}  # stage, SHA-256 of its weights → run
        self.created: list[str] = []
        self.adopted: list[str] = []

    def run(self, reports: Path) -> SyncResult:
        self._look_around()
        fingerprint = self.state.fingerprint
        parent_id = self.finished.get(fingerprint) or self.interrupted.get(fingerprint)
        if parent_id is None:
            tags = {KIND_TAG: "pipeline", FINGERPRINT_TAG: fingerprint, **_commit(self.root)}
            parent_id = self.store.create(f"pipeline-{fingerprint[:8]}", tags)
        run_ids = {stage.name: self._child(stage, parent_id) for stage in self.state.stages}
        if fingerprint not in self.finished:
            self._describe_parent(parent_id, run_ids, reports)
        return SyncResult(parent_id, run_ids, tuple(self.created), tuple(self.adopted))

    def _look_around(self) -> None:
        """Sort the runs that exist, and end or bin those of killed processes."""
        for run in self.store.runs():
            kind, fingerprint = run.tags.get(KIND_TAG), run.tags.get(FINGERPRINT_TAG, "")
            if fingerprint and run.status == "FINISHED":
                self.finished[fingerprint] = run.run_id
            elif kind == "pipeline":
                self.interrupted[fingerprint] = run.run_id
            elif kind == "stage" and run.status == "RUNNING":  # half written; the files are still there
                self.store.delete(run.run_id)
            elif WEIGHTS_TAG in run.tags and run.status == "FINISHED":
                self.live.setdefault((run.tags[LIVE_TAG], run.tags[WEIGHTS_TAG]), run)
            elif run.status == "RUNNING" and _is_dead(run.tags.get(PROCESS_TAG, "")):
                self.store.end(run.run_id, "KILLED")

    def _child(self, stage: StageEntry, parent_id: str) -> str:
        """The stage's run: the one it already has, the one it wrote while training, or a new one."""
        if stage.fingerprint in self.finished:
            return self.finished[stage.fingerprint]
        tags = {KIND_TAG: "stage", STAGE_TAG: stage.name, PARENT_TAG: parent_id, **_hash_tags(stage)}
        weights = trained_weights(self.root, stage)
        live = self.live.get((stage.name, sha256_of(weights))) if weights else None
        if live is None:
            run_id = self.store.create(stage.name, tags)
            self.created.append(stage.name)
        else:
            run_id = live.run_id
            self.store.tag(run_id, tags)
            self.adopted.append(stage.name)
        self._describe_child(run_id, stage, live)
        self.store.tag(run_id, {FINGERPRINT_TAG: stage.fingerprint})  # last: what has it is complete
        if live is None:
            self.store.end(run_id)
        return run_id

    def _describe_child(self, run_id: str, stage: StageEntry, live: KnownRun | None) -> None:
        known_parameters = live.parameters if live else frozenset()
        known_metrics = live.metrics if live else frozenset()
        self.store.parameters(
            run_id, {name: value for name, value in stage.parameters.items() if name not in known_parameters}
        )
        self.store.metrics(
            run_id, [point for point in stage_points(self.root, stage) if point.name not in known_metrics]
        )
        self.store.inputs(
            run_id, {path: md5 for path, md5 in stage.dependencies.items() if Path(path).parts[0] == "data"}
        )
        files = weights_files(self.root, stage, self.largest_artifact_mb)
        for path in files:
            self.store.file(run_id, path, "weights")
        weights = trained_weights(self.root, stage)
        if stage.name == REGISTERED_STAGE and weights in files:
            self._register(run_id, weights.parent)

    def _register(self, run_id: str, weights: Path) -> None:
        """Make the network the newest version of the registered model, with signature and example."""
        if not (weights / EXAMPLE).is_file():
            print(f"{weights}: no {EXAMPLE}, so it is not registered; an earlier Facet trained it", file=sys.stderr)
            return
        with tempfile.TemporaryDirectory() as folder:
            package(weights, Path(folder) / "model")
            self.store.file(run_id, Path(folder) / "model", "model")
        self.store.register(REGISTERED_MODEL, run_id, "model")

    def _describe_parent(self, parent_id: str, run_ids: Mapping[str, str], reports: Path) -> None:
        self.store.parameters(parent_id, self.state.parameters)
        self.store.metrics(parent_id, headline_points(reports))
        columns = {
            "stage": list(run_ids),
            "run_id": list(run_ids.values()),
            "fingerprint": [stage.fingerprint for stage in self.state.stages],
        }
        if run_ids:
            self.store.table(parent_id, "stages.json", columns)
        if reports.is_dir():
            self.store.file(parent_id, reports, "reports")
        self.store.end(parent_id)


def _hash_tags(stage: StageEntry) -> dict[str, str]:
    """DVC's hash of everything that a stage read and wrote."""
    read = {f"dvc.dep.{path}": md5 for path, md5 in stage.dependencies.items()}
    return read | {f"dvc.out.{path}": md5 for path, md5 in stage.outputs.items()}


def _commit(root: Path) -> dict[str, str]:
    """The commit that is checked out, as MLflow's own tag; nothing outside a Git checkout."""
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"mlflow.source.git.commit": done.stdout.strip()}


def _is_dead(process: str) -> bool:
    """Whether `host:pid` was on this machine and is no more."""
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
