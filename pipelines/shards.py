"""Shards: photographs, crops and masks in USTAR files with deterministic bytes, readable by tar and WebDataset.

A folder holds `shard-00000.tar`, `shard-00001.tar`, … with members `<key>.<suffix>`, a `manifest.json` (per shard:
number of keys, bytes, SHA-256) and, beside them, `rows.parquet` with one row per photograph. Label folders of one data
set have the same shard numbers and the same keys.
"""

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

MANIFEST = "manifest.json"
ROWS = "rows.parquet"
_KEY = re.compile("[0-9A-Za-z_-]+")  # what follows the first dot of a member's name is its suffix


class ShardWriter:
    """Writes members in the order of arrival, `keys_per_shard` keys to a shard. Use as a context manager."""

    def __init__(self, folder: Path, *, keys_per_shard: int, first_shard: int = 0) -> None:
        self.folder = folder
        self.keys_per_shard = keys_per_shard
        self.shard_number = first_shard
        self._keys_in_shard = 0
        self._tar: tarfile.TarFile | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, key: str, members: Mapping[str, bytes]) -> None:
        """Append one photograph's members, given as suffix → bytes."""
        if not _KEY.fullmatch(key):
            raise ValueError(f"expected a key of letters, digits, - and _, got {key!r}")
        if self._tar is None:
            path = self.folder / shard_name(self.shard_number)
            self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        for suffix, content in sorted(members.items()):
            header = tarfile.TarInfo(f"{key}.{suffix}")
            header.size = len(content)
            self._tar.addfile(header, io.BytesIO(content))
        self._keys_in_shard += 1
        if self._keys_in_shard == self.keys_per_shard:
            self.next_shard()

    def next_shard(self) -> None:
        """End the present shard; what follows goes into the next one."""
        if self._tar is not None:
            self._tar.close()
            self._tar = None
        self.shard_number += 1
        self._keys_in_shard = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tar is not None:
            self._tar.close()
        if kind is None:
            write_manifest(self.folder)


class _Member(NamedTuple):
    shard: Path
    offset: int
    size: int


class ShardReader:
    """Random access to all members of a shard folder, by key and suffix; safe to use from several processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._members: dict[str, dict[str, _Member]] = {}
        self._keys_by_shard: dict[Path, list[str]] = {}
        self._files: dict[tuple[int, Path], int] = {}
        if not (folder / MANIFEST).is_file():
            raise FileNotFoundError(f"{folder}: no {MANIFEST}; was the stage that writes this folder run?")
        for entry in json.loads((folder / MANIFEST).read_text()):
            shard = folder / entry["shard"]
            if not shard.is_file() or shard.stat().st_size != entry["bytes"]:  # tarfile takes a cut header for the end
                raise ValueError(f"{shard}: missing or truncated; delete {folder} and run its stage again")
            self._index(shard)

    def _index(self, shard: Path) -> None:
        keys: dict[str, None] = {}
        try:
            with tarfile.open(shard, "r:") as tar:
                for header in tar:
                    key, _, suffix = header.name.partition(".")
                    self._members.setdefault(key, {})[suffix] = _Member(shard, header.offset_data, header.size)
                    keys[key] = None
        except tarfile.TarError as error:
            raise ValueError(
                f"{shard}: not a tar file ({error}); delete {self.folder} and run its stage again"
            ) from error
        self._keys_by_shard[shard] = list(keys)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, key: object) -> bool:
        return key in self._members

    @property
    def keys(self) -> list[str]:
        """All keys, in the order they were written."""
        return list(self._members)

    @property
    def keys_by_shard(self) -> dict[Path, list[str]]:
        """The keys of each shard, in the order of the shards."""
        return self._keys_by_shard

    def read(self, key: str, suffix: str) -> bytes:
        """The bytes of one member; KeyError when there is none."""
        member = self._members[key][suffix]
        handle = self._files.get((os.getpid(), member.shard))
        if handle is None:
            handle = os.open(member.shard, os.O_RDONLY)
            self._files[os.getpid(), member.shard] = handle
        content = os.pread(handle, member.size, member.offset)
        if len(content) != member.size:
            raise ValueError(f"{member.shard}: {key}.{suffix} is truncated; run its stage again")
        return content

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_files": {}}

    def __del__(self) -> None:
        for handle in getattr(self, "_files", {}).values():
            os.close(handle)


def shard_name(number: int) -> str:
    """File name of shard `number`."""
    return f"shard-{number:05d}.tar"


def write_manifest(folder: Path) -> None:
    """Describe the shards that lie in `folder`: number of keys, bytes and SHA-256 of each."""
    manifest = []
    for shard in sorted(folder.glob("shard-*.tar")):
        with tarfile.open(shard, "r:") as tar:
            keys = {name.partition(".")[0] for name in tar.getnames()}
        manifest.append(
            {"shard": shard.name, "keys": len(keys), "bytes": shard.stat().st_size, "sha256": sha256_of(shard)}
        )
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def verify(folder: Path) -> None:
    """Raise ValueError when a shard is missing or its bytes are not those of the manifest."""
    for entry in json.loads((folder / MANIFEST).read_text()):
        shard = folder / entry["shard"]
        if not shard.is_file() or sha256_of(shard) != entry["sha256"]:
            raise ValueError(f"{shard}: missing or damaged; delete {folder} and run its stage again")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_rows(folder: Path, rows: pd.DataFrame) -> None:
    """Write one row per photograph beside the shards."""
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(folder / ROWS, index=False)


def read_rows(folder: Path) -> pd.DataFrame:
    """The rows beside the shards."""
    path = folder / ROWS
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; was the stage that writes this folder run?")
    return pd.read_parquet(path)


def encode_jpeg(picture: NDArray[np.uint8], quality: int = 95) -> bytes:
    """JPEG bytes of an RGB picture (H, W, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """PNG bytes of a mask (H, W) or an RGB picture (H, W, 3), lossless."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def decode(content: bytes) -> NDArray[np.uint8]:
    """The picture or mask in JPEG or PNG bytes that `encode_jpeg` or `encode_png` wrote."""
    return np.asarray(Image.open(io.BytesIO(content)))


def decoded(reader: ShardReader, suffix: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """All keys with their decoded member `suffix`, in the order they were written."""
    for key in reader.keys:
        yield key, decode(reader.read(key, suffix))
