"""Where an interrupted training goes on: its state, kept outside the outputs that DVC deletes before a stage runs."""

import hashlib
import json
import logging
import os
import pickle
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from pipelines.shards import MANIFEST, sha256_of

_ROOT = Path(__file__).resolve().parent.parent
_STATE = "state.pt"
_log = logging.getLogger(__name__)


class Stateful(Protocol):
    """A network, an optimizer, a schedule."""

    def state_dict(self) -> dict[str, Any]: ...  # noqa: D102

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...  # noqa: D102


class Resumable(NamedTuple):
    """Everything that the next iteration of a training depends on, besides its inputs."""

    parts: dict[str, Stateful]
    generators: dict[str, torch.Generator]  # besides torch's own

    def state(self, iterations: int, rows: list[dict[str, float]]) -> dict[str, Any]:
        """The state after so many iterations, with the curves up to there."""
        return {
            "iterations": iterations,
            "rows": rows,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            "torch_generator": torch.get_rng_state(),
            "cuda_generators": torch.cuda.get_rng_state_all(),
        }

    def restore(self, state: Mapping[str, Any]) -> list[dict[str, float]]:
        """Bring everything back to a state; returns the curves up to there."""
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name])
        torch.set_rng_state(state["torch_generator"])
        torch.cuda.set_rng_state_all(state["cuda_generators"])
        return list(state["rows"])


class Checkpoints:
    """The state of one training, replaced at once and never in part, so that `kill -9` leaves the last one whole.

    A state is found again only by a training with the same fingerprint; one of another fingerprint is thrown away as
    soon as there is something to keep in its place.
    """

    def __init__(self, folder: Path, fingerprint: str, *, every: int, writes: bool = True) -> None:
        self.folder, self.fingerprint, self.every, self.writes = folder, fingerprint, every, writes

    @property
    def files(self) -> Path:
        """A folder for files that belong to the state, such as sample sheets; it goes on with the training."""
        return self.folder / self.fingerprint

    def load(self) -> dict[str, Any] | None:
        """The last state, on the CPU; None when there is none or it cannot be read, which is logged."""
        path = self.files / _STATE
        if not path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
            _log.warning("%s: unreadable, the training starts anew (%s)", path, error)
            return None
        return state

    def due(self, iteration: int) -> bool:
        """Whether the state is to be saved after this iteration."""
        return (iteration + 1) % self.every == 0

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the state; on one process only (`writes`)."""
        if not self.writes:
            return
        if self.folder.is_dir():
            for other in self.folder.iterdir():
                if other != self.files:
                    shutil.rmtree(other, ignore_errors=True)
        self.files.mkdir(parents=True, exist_ok=True)
        partial = self.files / f"{_STATE}.{os.getpid()}"
        with partial.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.files / _STATE)

    def clear(self) -> None:
        """Forget the state of a training that has ended."""
        if self.writes:
            shutil.rmtree(self.folder, ignore_errors=True)


def training_fingerprint(inputs: Iterable[Path], description: Mapping[str, Any]) -> str:
    """SHA-256 of what a training depends on: its inputs (files or folders), a description as JSON, the code, torch."""
    digest = hashlib.sha256(json.dumps({**description, "torch": torch.__version__}, sort_keys=True).encode())
    code = [*sorted((_ROOT / "models").rglob("*.py")), *sorted((_ROOT / "pipelines").glob("*.py"))]
    for path in code:
        digest.update(path.read_bytes())
    for path in inputs:
        for file in _files_of(path):
            digest.update(f"{file.relative_to(path.parent)} {sha256_of(file)}\n".encode())
    return digest.hexdigest()[:32]


def _files_of(path: Path) -> list[Path]:
    """The files that tell one content of a path from another; a manifest holds the hashes of the shards beside it."""
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listed = {file.parent for file in files if file.name == MANIFEST}
    return [file for file in files if not (file.suffix == ".tar" and file.parent in listed)]
