"""An archive of photographs, tar or zip; the sub-folder is the identity, a top folder that holds everything is none.

Files are read by their offset, nothing is ever written to disk. What must not be read (links, encrypted files, names
that lead out of the archive) becomes a rejected row. Of an archive that is cut off, the files before the cut are used,
and one more rejected row says so; a zip file has its list of contents at the end: a cut one has none and is an error.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pipelines.photographs.found import FoundFile, found_file
from pipelines.photographs.sources.archive_entry import Entry
from pipelines.photographs.sources.folder import is_hidden, sub_folder
from pipelines.photographs.sources.tar_archive import TAR_SUFFIXES, tar_entries
from pipelines.photographs.sources.zip_archive import zip_entries

SUFFIXES = (".zip", *TAR_SUFFIXES)


def is_archive(path: Path) -> bool:
    """Whether the name of a file is one of an archive."""
    return path.name.lower().endswith(SUFFIXES)


def files_in_archive(archive: Path) -> list[FoundFile]:
    """Every visible file of an archive: by name in a zip file, in its order in a tar file; ValueError for neither."""
    entries = zip_entries(archive) if archive.suffix.lower() == ".zip" else tar_entries(archive)
    files = list(_files(archive, entries))
    folders = [PurePosixPath(file.name) for file in files if not file.refusal]
    top = {name.parts[0] for name in folders if len(name.parts) > 1}
    everywhere = len(top) == 1 and all(len(name.parts) > 1 for name in folders)
    return [file._replace(identity=_below_top(file.identity)) for file in files] if everywhere else files


def _files(archive: Path, entries: Iterator[Entry]) -> Iterator[FoundFile]:
    for entry in entries:
        name = PurePosixPath(entry.name)
        refusal = entry.refusal or _unsafe(entry.name)
        if refusal:
            yield found_file(archive, entry.name, refusal=refusal)
        elif not is_hidden(name):
            yield found_file(archive, name.as_posix(), identity=sub_folder(name), member=entry.member)


def _unsafe(name: str) -> str:
    """Why a name may not be used; extracting such archives overwrites files elsewhere, so they are not honest ones."""
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or "\\" in name or ".." in PurePosixPath(name).parts:
        return "unsafe name: leads out of the archive"
    return ""


def _below_top(identity: str) -> str:
    return identity.partition("/")[2]
