"""The engine of the labelling stages: from each shard to the same shard of the next folder; unchanged ones are free.

Finished shards are remembered (`pipelines.shard_memo`) under the fingerprint of everything they were made from, so that
new photographs cost only their own shards and a killed stage goes on where it was.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import pandas as pd

from pipelines.engines import IN_THIS_PROCESS
from pipelines.params import LabellingParams
from pipelines.shard_memo import Item, ShardTask, empty, fingerprint_of, full_disk_named, make_missing
from pipelines.shards import ShardReader, read_rows, sha256_of, write_manifest

LabelShard = Callable[[Sequence[str]], Iterator[Item]]


class Step(Hashable, Protocol):
    """Paths and parameters of a labelling step; small, hashable, and sent to every process that labels."""

    def prepare(self) -> LabelShard:
        """Load what labelling needs (network, reader); called once in each process, when a shard is to be made."""
        ...


def map_shards(
    step: Step,
    sources: Mapping[Path, Sequence[str]],
    output: Path,
    *,
    fingerprint: Mapping[str, object],
    memo: Path,
    engine: LabellingParams = IN_THIS_PROCESS,
    one_thread: bool = False,
) -> pd.DataFrame:
    """Label each shard of the first source into the same shard of `output`; returns the rows of all shards.

    `sources` says which columns of each folder's rows the labels depend on. A shard is made again when its bytes or
    these columns change in any source, or `fingerprint` (parameters, weights, code) does. `one_thread`: see `computed`.
    """
    shards = ShardReader(next(iter(sources))).keys_by_shard
    tables = {folder: read_rows(folder).set_index("key", drop=False) for folder in sources}
    entries = {}
    for shard, keys in shards.items():
        contents = [_content(folder / shard.name, tables[folder], keys, columns) for folder, columns in sources.items()]
        entries[shard.name] = memo / fingerprint_of({**fingerprint, "contents": contents})
    run = hashlib.sha256("".join(entry.name for entry in entries.values()).encode()).hexdigest()
    tasks = [
        ShardTask(_LabelKeys(step, run, tuple(keys)), entry, len(keys))
        for entry, keys in zip(entries.values(), shards.values(), strict=True)
    ]
    make_missing(tasks, memo, description=str(fingerprint["stage"]), engine=engine, one_thread=one_thread)
    _prepared.cache_clear()
    empty(output)
    with full_disk_named(output):
        rows = [_recall(entry, output / name) for name, entry in entries.items()]
        write_manifest(output)
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


@dataclass(frozen=True)
class _LabelKeys:
    """Labels one shard; `run` tells two runs apart whose sources have other contents in the same place."""

    step: Step
    run: str
    keys: tuple[str, ...]

    def __call__(self) -> Iterator[Item]:
        return _prepared(self.step, self.run)(self.keys)


@lru_cache(maxsize=1)
def _prepared(step: Step, run: str) -> LabelShard:
    """A step with its network loaded, for all shards that this process labels."""
    return step.prepare()


def _content(shard: Path, table: pd.DataFrame, keys: Sequence[str], columns: Sequence[str]) -> str:
    """Fingerprint of one shard (a folder of rows alone has none) and of columns of its keys' rows."""
    bytes_of_shard = sha256_of(shard) if shard.is_file() else "rows only"
    rows = table.loc[table.index.intersection(list(keys)), ["key", *columns]] if columns else table[:0]
    return f"{bytes_of_shard} {rows.to_json(orient='records', double_precision=15)}"


def _recall(entry: Path, shard: Path) -> pd.DataFrame:
    for remembered in entry.glob("shard-*.tar"):  # one, or none when every photograph was rejected
        try:
            os.link(remembered, shard)
        except OSError:  # another file system
            shutil.copyfile(remembered, shard)
    return read_rows(entry)
