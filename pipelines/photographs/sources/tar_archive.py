"""Tar archives, also compressed ones: a walk over the headers, and members read by their offset.

A compressed archive is decompressed as a stream and never kept: whoever reads its members in order passes over it once.
"""

import bz2
import functools
import gzip
import lzma
import tarfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from pipelines.photographs.sources.archive_entry import Entry

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_LARGEST_HEADER = 1 << 20  # bytes; long names are a few hundred, and whatever a header declares is read at once
_READING = threading.Lock()  # the threads of a process share one open archive
_DAMAGED = (tarfile.TarError, OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)


class TarMember(NamedTuple):
    """A file in a tar archive, `offset` bytes behind the beginning of what is decompressed."""

    archive: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """The content; ValueError when the archive ends before it does."""
        with _READING:
            stream = _shared_stream(self.archive)
            stream.seek(self.offset)
            content = stream.read(self.size)
        if len(content) < self.size:
            raise ValueError(f"the archive ends after {len(content)} of {self.size} bytes")
        return content


def tar_entries(archive: Path) -> Iterator[Entry]:
    """The files of an archive, in its order; where it ends too early, a last entry says so.

    Raises ValueError when it does not even begin as a tar archive.
    """
    with _opened(archive) as stream:
        watched = _HeaderStream(stream)
        try:
            tar = tarfile.open(fileobj=cast(BinaryIO, watched), mode="r:")  # noqa: SIM115
        except _DAMAGED as error:
            raise ValueError(f"{archive}: expected a tar archive, which this is not ({error})") from error
        count, problem = 0, ""
        try:
            for header in _headers(tar):
                count += not header.isdir()
                yield from _entries(archive, header)
            if watched.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a damaged header for the end
                problem = "no end mark"
        except _DAMAGED as error:
            problem = str(error) or type(error).__name__
        if problem:
            yield Entry(archive.name, None, f"the archive is cut off or damaged after {count} files: {problem}")


class _HeaderStream:
    """A file for tarfile that refuses headers of a size which no honest archive has, instead of reading them whole.

    `last` is what was read last.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.seek = stream.seek
        self.tell = stream.tell
        self.last = b""
        self._stream = stream

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LARGEST_HEADER:
            raise ValueError(f"a header of {size} bytes")
        self.last = self._stream.read(size)
        return self.last


def _headers(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """All headers; tarfile follows a negative size backwards, for ever, and remembers what it has seen."""
    while (header := tar.next()) is not None:
        if header.size < 0:
            raise ValueError(f"a file of {header.size} bytes")
        tar.members.clear()  # type: ignore[attr-defined]
        yield header


def _entries(archive: Path, header: tarfile.TarInfo) -> Iterator[Entry]:
    if header.isdir():
        return
    if header.issym() or header.islnk():
        yield Entry(header.name, None, "a link, not a file")
    elif not header.isfile() or header.issparse():
        yield Entry(header.name, None, "a device or another special file")
    else:
        yield Entry(header.name, TarMember(archive, header.offset_data, header.size))


def _shared_stream(archive: Path) -> BinaryIO:
    """The archive, open since its last member was read, unless it has changed."""
    status = archive.stat()
    return _remembered(archive, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _remembered(archive: Path, size: int, modified: int) -> BinaryIO:
    return _opened(archive)


def _opened(archive: Path) -> BinaryIO:
    with archive.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(archive, "rb"))
    if magic.startswith(b"BZh"):
        return cast(BinaryIO, bz2.open(archive, "rb"))
    if magic.startswith(b"\xfd7zXZ\x00"):
        return cast(BinaryIO, lzma.open(archive, "rb"))
    return archive.open("rb")
