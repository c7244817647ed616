"""Single photographs that join every data set, named one by one."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from pipelines.photographs.found import FoundFile, key_of

ASTRONAUT = "astronaut"  # the photograph of a person that ships inside scikit-image


def extra_files(extra: Sequence[str]) -> list[FoundFile]:
    """The single photographs that join every data set; ValueError when one is missing."""
    files = []
    for name in dict.fromkeys(extra):
        path = _astronaut() if name == ASTRONAUT else Path(name)
        if not path.is_file():
            raise ValueError(f"photographs.extra: expected {ASTRONAUT!r} or a file, got {name!r}")
        key = ASTRONAUT if name == ASTRONAUT else key_of(path.name, origin=name)
        files.append(FoundFile(path, key, path.name, ""))
    return files


def _astronaut() -> Path:
    """Where scikit-image keeps the picture; found without importing it."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("photographs.extra: 'astronaut' ships inside scikit-image, which is not installed")
    return Path(spec.submodule_search_locations[0]) / "data" / "astronaut.png"
