"""A folder of photographs: every visible file below it; the sub-folder is the identity."""

from pathlib import Path, PurePath

from pipelines.photographs.found import FoundFile, found_file


def files_in(folder: Path) -> list[FoundFile]:
    """Every visible file below `folder`, sorted by name, with its sub-folder as identity."""
    names = sorted(
        relative
        for relative in (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        if not is_hidden(relative)
    )
    return [found_file(folder / name, name.as_posix(), identity=sub_folder(name)) for name in names]


def is_hidden(name: PurePath) -> bool:
    """Whether the file or a folder above it is one that file managers do not show."""
    return any(part.startswith(".") for part in name.parts)


def sub_folder(name: PurePath) -> str:
    """The folder of a relative name, "" for none."""
    parent = name.parent.as_posix()
    return "" if parent == "." else parent
