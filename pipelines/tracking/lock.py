"""What `dvc.lock` says about each stage, and the fingerprint of it: the identity of a stage's result."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TRACK_STAGE = "track"  # excluded: its output holds the fingerprints


@dataclass(frozen=True)
class StageEntry:
    """A stage's last result: hashes by path, and the parameters it was made with."""

    name: str
    fingerprint: str
    dependencies: dict[str, str]
    outputs: dict[str, str]
    parameters: dict[str, str]


@dataclass(frozen=True)
class PipelineState:
    """All stages that have run, and one fingerprint over all of them."""

    fingerprint: str
    stages: tuple[StageEntry, ...]

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of all stages together."""
        return {name: value for stage in self.stages for name, value in stage.parameters.items()}

    def fingerprints(self) -> dict[str, Any]:
        """The fingerprints alone: the same pipeline state gives the same dictionary."""
        return {"pipeline": self.fingerprint, "stages": {stage.name: stage.fingerprint for stage in self.stages}}


def read_lock(lock_file: Path) -> PipelineState:
    """The state of the pipeline; a stage that has not run yet is simply not in it."""
    if not lock_file.is_file():
        raise FileNotFoundError(f"{lock_file}: missing; no stage has run yet, run `dvc repro` first")
    tree = yaml.safe_load(lock_file.read_text()) or {}
    stages = tuple(_stage(name, entry) for name, entry in sorted(tree.get("stages", {}).items()) if name != TRACK_STAGE)
    return PipelineState(_sha256({stage.name: stage.fingerprint for stage in stages}), stages)


def flatten(tree: Mapping[str, Any], separator: str) -> Iterator[tuple[str, Any]]:
    """Path-like keys and leaves of nested dictionaries, in their order."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}{separator}{rest}", leaf) for rest, leaf in flatten(value, separator))
        else:
            yield str(key), value


def _stage(name: str, entry: dict[str, Any]) -> StageEntry:
    parts = {part: entry.get(part) for part in ("cmd", "deps", "params", "outs")}
    return StageEntry(
        name=name,
        fingerprint=_sha256(parts),
        dependencies={item["path"]: item.get("md5", "") for item in entry.get("deps", [])},
        outputs={item["path"]: item.get("md5", "") for item in entry.get("outs", [])},
        parameters={
            key: value if isinstance(value, str) else json.dumps(value)
            for of_file in entry.get("params", {}).values()
            for key, value in flatten(of_file, ".")
        },
    )


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
