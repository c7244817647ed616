"""Zip archives: the list at their end, and members read one by one."""

import functools
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipelines.photographs.sources.archive_entry import Entry

_ENCRYPTED = 0x1  # of the general purpose flags
_READ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks the others' blocks whole, however large


class ZipMember(NamedTuple):
    """A file in a zip archive, by its place in the list; `size` is the one declared there."""

    archive: Path
    place: int
    size: int

    def read(self) -> bytes:
        """The content; zipfile stops at the declared size, whatever follows, and compares the check sum."""
        opened = _shared_zip(self.archive)
        with opened.open(opened.infolist()[self.place]) as file:
            return file.read(self.size)


def zip_entries(archive: Path) -> Iterator[Entry]:
    """The files of an archive, sorted by name, as in a folder; ValueError when its list cannot be read."""
    try:
        with zipfile.ZipFile(archive) as opened:
            headers = sorted(enumerate(opened.infolist()), key=lambda one: PurePosixPath(one[1].filename).parts)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"{archive}: expected a zip archive, whose list of contents is at its end; there is none ({error}): was the"
            " file copied or downloaded completely?"
        ) from error
    for place, header in headers:
        if header.is_dir():
            continue
        refusal = _refusal(header)
        member = None if refusal else ZipMember(archive, place, header.file_size)
        yield Entry(header.filename, member, refusal)


def _refusal(header: zipfile.ZipInfo) -> str:
    if header.flag_bits & _ENCRYPTED:
        return "encrypted"
    kind = stat.S_IFMT(header.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "a link, not a file"
    if kind not in (0, stat.S_IFREG):
        return "a device or another special file"
    if header.compress_type not in _READ_METHODS:
        return f"compression method {header.compress_type}, only stored and deflated files are read"
    return ""


def _shared_zip(archive: Path) -> zipfile.ZipFile:
    """The archive, open since its last member was read, unless it has changed."""
    status = archive.stat()
    return _remembered(archive, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1)
def _remembered(archive: Path, size: int, modified: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(archive)
