"""Photographs of one's own: every file below a folder, and single extra photographs."""

import hashlib
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pipelines.photographs.decoding import DecodingLimits, decode_photograph, fingerprint
from pipelines.shards import encode_jpeg

ASTRONAUT = "astronaut"  # the photograph of a person that ships inside scikit-image


class FoundFile(NamedTuple):
    """A file that may be a photograph."""

    path: Path
    key: str
    name: str  # relative to the folder
    identity: str  # "" where it is unknown


class ReadFile(NamedTuple):
    """A file after reading: a JPEG, or None and the reason; width and height are those of the JPEG, else the file's."""

    file: FoundFile
    picture: bytes | None
    fingerprint: str
    width: int
    height: int
    reason: str


def files_in(folder: Path) -> list[FoundFile]:
    """Every visible file below `folder`, sorted by name; the sub-folder is the identity.

    Raises ValueError when there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"photographs.source: expected 'synthetic' or a folder with photographs, got {str(folder)!r}")
    names = sorted(
        relative
        for relative in (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        if not any(part.startswith(".") for part in relative.parts)
    )
    return [_found(folder / name, name.as_posix(), _identity(name)) for name in names]


def extra_files(extra: Sequence[str]) -> list[FoundFile]:
    """The single photographs that join every data set; ValueError when one is missing."""
    files = []
    for name in dict.fromkeys(extra):
        path = _astronaut() if name == ASTRONAUT else Path(name)
        if not path.is_file():
            raise ValueError(f"photographs.extra: expected {ASTRONAUT!r} or a file, got {name!r}")
        key = ASTRONAUT if name == ASTRONAUT else _key(path.name, origin=name)
        files.append(FoundFile(path, key, path.name, ""))
    return files


def read_file(limits: DecodingLimits, file: FoundFile) -> ReadFile:
    """A file, decoded and encoded again as JPEG."""
    decoded = decode_photograph(file.path, limits)
    if decoded.picture is None:
        return ReadFile(file, None, "", decoded.width, decoded.height, decoded.reason)
    height, width = decoded.picture.shape[:2]
    return ReadFile(file, encode_jpeg(decoded.picture), fingerprint(decoded.picture), width, height, "")


def _found(path: Path, name: str, identity: str) -> FoundFile:
    printable = name.encode("utf-8", "backslashreplace").decode()  # Linux allows names that are no text
    return FoundFile(path, _key(printable), printable, identity.encode("utf-8", "backslashreplace").decode())


def _identity(relative: Path) -> str:
    parent = relative.parent.as_posix()
    return "" if parent == "." else parent


def _key(name: str, *, origin: str = "") -> str:
    """A readable key without dots that stays when other files come and go; `origin` tells equal names apart."""
    readable = re.sub(r"[^0-9A-Za-z]+", "-", name.rpartition(".")[0] or name).strip("-")[-40:]
    return f"{readable}-{hashlib.sha256((origin or name).encode()).hexdigest()[:8]}".strip("-")


def _astronaut() -> Path:
    """Where scikit-image keeps the picture; found without importing it."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("photographs.extra: 'astronaut' ships inside scikit-image, which is not installed")
    return Path(spec.submodule_search_locations[0]) / "data" / "astronaut.png"
