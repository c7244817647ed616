"""The memo of finished shards: no half shard counts, and what a killed process left goes away."""

import errno
import fcntl
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.engines import IN_THIS_PROCESS
from pipelines.shard_memo import Item, ShardTask, empty, make_missing, source_digest
from pipelines.shards import MANIFEST, ShardReader, ShardWriter, read_rows


def _items() -> Iterator[Item]:
    yield Item("a", {"txt": b"text"}, {"key": "a"})
    yield Item("b", {}, {"key": "b"})


def _make(memo: Path, *tasks: ShardTask) -> None:
    make_missing(tasks, memo, description="test", engine=IN_THIS_PROCESS, one_thread=True)


def test_an_entry_is_a_shard_and_its_rows(tmp_path: Path) -> None:
    _make(tmp_path, ShardTask(_items, tmp_path / "entry", 2))
    assert ShardReader(tmp_path / "entry").keys == ["a"]
    assert read_rows(tmp_path / "entry")["key"].tolist() == ["a", "b"]
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_an_entry_comes_at_once(tmp_path: Path) -> None:
    """It is the folder that was written, renamed: a copy could be interrupted half way."""
    inodes = []

    def watched() -> Iterator[Item]:
        inodes.extend(folder.stat().st_ino for folder in tmp_path.glob("partial-*"))
        yield from _items()

    _make(tmp_path, ShardTask(watched, tmp_path / "entry", 2))
    assert inodes == [(tmp_path / "entry").stat().st_ino]


def test_a_failed_shard_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[Item]:
        yield Item("a", {"txt": b"text"}, {"key": "a"})
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        _make(tmp_path, ShardTask(failing, tmp_path / "entry", 2))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: ShardWriter, key: str, members: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ShardWriter, "write", write)
    with pytest.raises(OSError, match=f"{tmp_path}: no space left .* run again") as raised:
        _make(tmp_path, ShardTask(_items, tmp_path / "entry", 2))
    assert raised.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_leftovers_of_killed_processes_go_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    dead, living = tmp_path / "partial-dead", tmp_path / "partial-living"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "shard-00000.tar").write_bytes(b"half")
    handle = os.open(living, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    _make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["partial-living"]
    os.close(handle)
    _make(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_never_seen_without_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that tidies up at the moment between making and locking a folder has to wait."""
    tidied: list[threading.Thread] = []

    def make_folder(**options: str) -> str:
        folder = mkdtemp(**options)
        tidied.append(threading.Thread(target=_make, args=(tmp_path,)))
        tidied[0].start()
        tidied[0].join(timeout=0.2)
        return folder

    mkdtemp: Any = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", make_folder)

    def items() -> Iterator[Item]:
        tidied[0].join()
        yield from _items()

    _make(tmp_path, ShardTask(items, tmp_path / "entry", 2))
    assert ShardReader(tmp_path / "entry").keys == ["a"]


def test_a_shard_that_another_process_finished_first_is_taken(tmp_path: Path) -> None:
    entry = tmp_path / "entry"

    def overtaken() -> Iterator[Item]:
        _make(tmp_path, ShardTask(_items, entry, 2))
        yield Item("late", {"txt": b"late"}, {"key": "late"})

    _make(tmp_path, ShardTask(overtaken, entry, 1))
    assert ShardReader(entry).keys == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_emptying_a_folder_leaves_the_bytes_of_linked_shards(tmp_path: Path) -> None:
    _make(tmp_path, ShardTask(_items, tmp_path / "entry", 2))
    output = tmp_path / "output"
    output.mkdir()
    os.link(tmp_path / "entry/shard-00000.tar", output / "shard-00000.tar")
    (output / MANIFEST).write_text("[]")
    empty(output)
    assert not list(output.iterdir())
    assert ShardReader(tmp_path / "entry").read("a", "txt") == b"text"


def test_digest_of_code_follows_its_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text("x = 1")
    second.write_text("x = 2")
    assert source_digest(str(first)) != source_digest(str(second))
    assert source_digest(str(first)) == source_digest(str(first))
