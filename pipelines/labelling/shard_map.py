"""The engine of the labelling stages: from each shard to the same shard of the next folder; unchanged ones are free.

Finished shards are remembered in a memo folder under the fingerprint of everything they were made from, so that new
photographs cost only their own shards and a killed stage goes on where it was. The memo can be deleted at any time.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from pipelines.shards import ShardReader, ShardWriter, read_rows, sha256_of, write_manifest, write_rows


class Label(NamedTuple):
    """What a stage says about one key: members of its shard (none for a rejected photograph) and its row."""

    key: str
    members: Mapping[str, bytes]
    row: Mapping[str, Any]


LabelShard = Callable[[Sequence[str]], Iterator[Label]]


def map_shards(
    sources: Sequence[Path],
    output: Path,
    *,
    prepare: Callable[[], LabelShard],
    fingerprint: Mapping[str, object],
    memo: Path,
) -> pd.DataFrame:
    """Label each shard of the first source into the same shard of `output`; returns the rows of all shards.

    `prepare` loads what labelling needs and is called only when some shard is not in the memo. A shard is made again
    when its bytes or rows in any source change, or `fingerprint` (parameters, weights, code) does.
    """
    reader = ShardReader(sources[0])
    tables = [read_rows(source).set_index("key", drop=False) for source in sources]
    _empty(output)
    label_shard: LabelShard | None = None
    rows = []
    with tqdm(total=len(reader), desc=str(fingerprint["stage"]), unit="photograph", smoothing=0) as progress:
        for shard, keys in reader.keys_by_shard.items():
            digest = hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode())
            for source, table in zip(sources, tables, strict=True):
                digest.update(_content(source / shard.name, table, keys))
            entry = memo / digest.hexdigest()
            if entry.is_dir():
                progress.update(len(keys))
            else:
                label_shard = label_shard or prepare()
                _remember(entry, _counted(label_shard(keys), progress))
            rows.append(_recall(entry, output / shard.name))
    write_manifest(output)
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def source_digest(*modules: str) -> str:
    """SHA-256 of code files, given as the `__file__` of their modules."""
    return hashlib.sha256(b"".join(Path(module).read_bytes() for module in modules)).hexdigest()


def _content(shard: Path, table: pd.DataFrame, keys: Sequence[str]) -> bytes:
    """Fingerprint of one shard (a folder of rows alone has none) and of its keys' rows."""
    bytes_of_shard = sha256_of(shard) if shard.is_file() else "rows only"
    rows = table.loc[table.index.intersection(list(keys))].to_json(orient="records", double_precision=15)
    return f"{bytes_of_shard} {rows}\n".encode()


def _counted(labels: Iterator[Label], progress: "tqdm[Any]") -> Iterator[Label]:
    for label in labels:
        yield label
        progress.update()


def _remember(entry: Path, labels: Iterator[Label]) -> None:
    """Write a shard and its rows aside and move them in at once, so that a half-written one is never found."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix="partial-", dir=entry.parent))
    rows = []
    with ShardWriter(partial, keys_per_shard=2**62) as writer:
        for label in labels:
            rows.append(dict(label.row))
            if label.members:
                writer.write(label.key, label.members)
    write_rows(partial, pd.DataFrame(rows))
    try:
        partial.rename(entry)
    except OSError:  # another process was faster
        if not entry.is_dir():
            raise
        shutil.rmtree(partial)


def _recall(entry: Path, shard: Path) -> pd.DataFrame:
    for remembered in entry.glob("shard-*.tar"):  # one, or none when every photograph was rejected
        try:
            os.link(remembered, shard)
        except OSError:  # another file system
            shutil.copyfile(remembered, shard)
    return read_rows(entry)


def _empty(folder: Path) -> None:
    """Unlink old shards; writing into them would change the memo's, which share their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in folder.glob("shard-*.tar"):
        shard.unlink()
