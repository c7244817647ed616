"""Finished shards, remembered under the fingerprint of everything they were made from.

The memo is a folder with a folder for each shard. Whoever makes a shard, here, in another process or on another
machine, writes it aside and moves it in at once: `kill -9` or a full disk leave no half shard that is taken for a whole
one, only a folder `partial-…` that the next run removes. The memo may be deleted at any time.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from pipelines.engines import computed
from pipelines.params import LabellingParams
from pipelines.shards import MANIFEST, ShardWriter, write_rows

_PARTIAL = "partial-"


class Item(NamedTuple):
    """One key of a shard: its members (none for a rejected photograph) and its row."""

    key: str
    members: Mapping[str, bytes]
    row: Mapping[str, Any]


class ShardTask(NamedTuple):
    """A shard to make: how, where it is remembered, and of how many photographs. Can be sent to other processes."""

    make: Callable[[], Iterable[Item]]
    entry: Path
    photographs: int


def fingerprint_of(parts: Mapping[str, object]) -> str:
    """SHA-256 of named values that JSON can write; the name of an entry."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def source_digest(*modules: str) -> str:
    """SHA-256 of code files, given as the `__file__` of their modules."""
    return hashlib.sha256(b"".join(Path(module).read_bytes() for module in modules)).hexdigest()


def make_missing(
    tasks: Sequence[ShardTask], memo: Path, *, description: str, engine: LabellingParams, one_thread: bool
) -> None:
    """Make every shard that the memo lacks."""
    memo.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(memo)
    missing = [task for task in tasks if not task.entry.is_dir()]
    photographs = sum(task.photographs for task in tasks)
    found = photographs - sum(task.photographs for task in missing)
    with tqdm(total=photographs, initial=found, desc=description, unit="photograph", smoothing=0) as progress:
        for count in computed(_remember, missing, engine=engine, one_thread=one_thread):
            progress.update(count)
    lost = [task.entry for task in missing if not task.entry.is_dir()]
    if lost:
        raise FileNotFoundError(
            f"{lost[0]}: made, but not found here: the Dask workers have to run in a folder that this machine shares"
        )


@contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Turn "no space left" into a message with the folder that does not fit and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            error.errno,
            f"{folder.absolute()}: no space left on its disk; what is finished stays: free some and run again",
        ) from error


def empty(folder: Path) -> None:
    """Unlink old shards, so that none is left over; writing into them would change the memo's, which share bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (*folder.glob("shard-*.tar"), folder / MANIFEST):
        file.unlink(missing_ok=True)


def _remember(task: ShardTask) -> int:
    """Make one shard, unless another process has; returns its number of photographs."""
    if not task.entry.is_dir():
        with full_disk_named(task.entry.parent), _new_folder(task.entry.parent) as partial:
            _write(partial, task.make())
            _sync(partial)
            try:
                partial.rename(task.entry)
            except OSError:  # another process was faster
                if not task.entry.is_dir():
                    raise
    return task.photographs


def _write(folder: Path, items: Iterable[Item]) -> None:
    rows = []
    with ShardWriter(folder, keys_per_shard=2**62) as writer:
        for item in items:
            rows.append(dict(item.row))
            if item.members:
                writer.write(item.key, item.members)
    write_rows(folder, pd.DataFrame(rows))


def _sync(folder: Path) -> None:
    """Bring the files to the disk before their folder gets its final name: it must not outlive them in a power cut."""
    for file in folder.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


@contextmanager
def _new_folder(memo: Path) -> Iterator[Path]:
    """A folder that is removed at the end, unless it was moved; locked, because a lock ends with its process."""
    memo.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _locked(memo, fcntl.LOCK_SH):  # until the folder has its own lock, nobody may take it for an abandoned one
            folder = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=memo))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.enter_context(_locked(folder, fcntl.LOCK_SH))
        yield folder


def _remove_abandoned(memo: Path) -> None:
    """Remove what killed processes left half made; folders that a living one writes are locked."""
    with _locked(memo, fcntl.LOCK_EX):
        for folder in memo.glob(f"{_PARTIAL}*"):
            with suppress(OSError), _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB, needed=True):
                shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path, mode: int, *, needed: bool = False) -> Iterator[None]:
    """Inside, a folder is locked; network file systems may not be able to, an OSError only where it is needed."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with nullcontext() if needed else suppress(OSError):
            fcntl.flock(handle, mode)
        yield
    finally:
        os.close(handle)
