import logging
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pytest
import torch

from pipelines import checkpoints
from pipelines.checkpoints import Checkpoints, training_fingerprint
from pipelines.shards import ShardWriter, write_rows

STATE = {"iterations": 3, "weights": torch.arange(4.0), "rows": [{"step": 0, "total": 1.5}]}


def _checkpoints(folder: Path, fingerprint: str = "one", **options: bool) -> Checkpoints:
    return Checkpoints(folder / "train", fingerprint, every=10, **options)


def test_a_saved_state_comes_back(tmp_path: Path) -> None:
    assert _checkpoints(tmp_path).load() is None
    _checkpoints(tmp_path).save(STATE)
    found = _checkpoints(tmp_path).load()
    assert found is not None and found["iterations"] == 3 and found["rows"] == STATE["rows"]
    assert torch.equal(found["weights"], torch.arange(4.0))


def test_only_the_same_fingerprint_finds_it(tmp_path: Path) -> None:
    _checkpoints(tmp_path, "one").save(STATE)
    assert _checkpoints(tmp_path, "two").load() is None
    assert _checkpoints(tmp_path, "one").load() is not None
    _checkpoints(tmp_path, "two").save(STATE)  # from now on the first is of no use
    assert _checkpoints(tmp_path, "one").load() is None


def test_a_damaged_state_is_logged_and_the_training_starts_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = _checkpoints(tmp_path)
    kept.save(STATE)
    path = kept.files / "state.pt"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"no zip file"):
        path.write_bytes(damaged)
        with caplog.at_level(logging.WARNING):
            assert kept.load() is None
    assert caplog.text.count("unreadable, the training starts anew") == 3


def test_a_failed_save_keeps_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = _checkpoints(tmp_path)
    kept.save(STATE)

    def disk_full(state: object, file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(OSError, match="No space"):
        kept.save({**STATE, "iterations": 4})
    found = kept.load()
    assert found is not None and found["iterations"] == 3


def test_one_process_writes_and_clears(tmp_path: Path) -> None:
    other = _checkpoints(tmp_path, writes=False)
    other.save(STATE)
    assert other.load() is None
    writer = _checkpoints(tmp_path)
    writer.save(STATE)
    other.clear()
    assert other.load() is not None
    writer.clear()
    assert writer.load() is None and not writer.folder.exists()


def test_a_state_is_due_after_every_so_many_iterations(tmp_path: Path) -> None:
    assert [i for i in range(35) if _checkpoints(tmp_path).due(i)] == [9, 19, 29]


def test_the_fingerprint_changes_with_everything_the_training_reads(tmp_path: Path) -> None:
    folder, file = tmp_path / "labels", tmp_path / "face_model.h5"

    def write(shard: bytes, rows: str, model: bytes) -> str:
        with ShardWriter(folder, keys_per_shard=1) as writer:
            writer.write("a", {"png": shard})
        write_rows(folder, pd.DataFrame({"key": [rows]}))
        file.write_bytes(model)
        return training_fingerprint([folder, file], {"rate": 1})

    first = write(b"1", "a", b"m")
    assert write(b"1", "a", b"m") == first
    others = [write(b"2", "a", b"m"), write(b"1", "b", b"m"), write(b"1", "a", b"n")]
    others.append(training_fingerprint([folder, file], {"rate": 2}))
    assert len({first, *others}) == 5


def test_shards_are_known_by_their_manifest(tmp_path: Path) -> None:
    """A quarter of a million photographs are not read again for their fingerprint."""
    with ShardWriter(tmp_path, keys_per_shard=1) as writer:
        writer.write("a", {"png": np.arange(9).tobytes()})
    before = training_fingerprint([tmp_path], {})
    next(tmp_path.glob("shard-*.tar")).write_bytes(b"changed behind its back")
    assert training_fingerprint([tmp_path], {}) == before


def test_the_fingerprint_changes_with_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("models/networks", "pipelines"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(checkpoints, "_ROOT", tmp_path)
    found = set()
    for path in ("models/networks/a.py", "pipelines/b.py"):
        for code in ("1", "2"):
            (tmp_path / path).write_text(code)
            found.add(training_fingerprint([], {}))
    assert len(found) == 4
