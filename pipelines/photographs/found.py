"""What a source lists: files that may be photographs, each with its name, its identity and the way to its bytes."""

import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Member(Protocol):
    """A file inside an archive; `size` is the one its header declares."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self) -> bytes:
        """The content, never more than `size` bytes; raises when it is damaged or cut off."""


class Annotation(Protocol):
    """What people drew over a photograph."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files it is read from."""

    def segments(self) -> NDArray[np.uint8]:
        """The number in `SEGMENTS` of each pixel (H, W), at the annotation's own size; raises when it is damaged."""


class FoundFile(NamedTuple):
    """A file that may be a photograph, or the reason why it is none without being read."""

    path: Path  # of the file, or of the archive around it
    key: str
    name: str  # relative to the source
    identity: str  # "" where it is unknown
    member: Member | None = None  # None: the whole file at `path`
    annotation: Annotation | None = None
    refusal: str = ""

    @property
    def size(self) -> int:
        """Bytes; an OSError when there is no such file."""
        return self.member.size if self.member else self.path.stat().st_size

    def open(self) -> BinaryIO:
        """The content, from its beginning."""
        return io.BytesIO(self.member.read()) if self.member else self.path.open("rb")


def found_file(
    path: Path,
    name: str,
    *,
    identity: str = "",
    member: Member | None = None,
    annotation: Annotation | None = None,
    refusal: str = "",
) -> FoundFile:
    """A file with the key that its name gives; bytes of the name that are no text are spelt out."""
    name = _printable(name)
    return FoundFile(path, key_of(name), name, _printable(identity), member, annotation, refusal)


def key_of(name: str, *, origin: str = "") -> str:
    """A readable key without dots that stays when other files come and go; `origin` tells equal names apart."""
    readable = re.sub(r"[^0-9A-Za-z]+", "-", name.rpartition(".")[0] or name).strip("-")[-40:]
    return f"{readable}-{hashlib.sha256((origin or name).encode()).hexdigest()[:8]}".strip("-")


def once_each(files: Iterable[FoundFile]) -> Iterator[FoundFile]:
    """The files, with a name that comes again refused under a key of its own: two rows must not share one."""
    times: dict[str, int] = {}
    for file in files:
        times[file.name] = times.get(file.name, 0) + 1
        if times[file.name] == 1:
            yield file
        else:
            key = key_of(file.name, origin=f"{file.name} {times[file.name]}")
            yield file._replace(key=key, refusal="the source has this name more than once")


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()  # Linux allows names that are no text
