"""Which layout a source has, and the files it lists."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pipelines.params import PhotographsLayout
from pipelines.photographs.found import FoundFile, once_each
from pipelines.photographs.sources.archive import SUFFIXES as ARCHIVE_SUFFIXES
from pipelines.photographs.sources.archive import files_in_archive, is_archive
from pipelines.photographs.sources.celeba import celeba_files, is_celeba
from pipelines.photographs.sources.celebamask_hq import celebamask_hq_files, is_celebamask_hq
from pipelines.photographs.sources.ffhq import ffhq_files, is_ffhq
from pipelines.photographs.sources.folder import files_in
from pipelines.photographs.sources.lapa import is_lapa, lapa_files
from pipelines.photographs.sources.listed import SUFFIXES as LIST_SUFFIXES
from pipelines.photographs.sources.listed import files_in_list
from pipelines.photographs.sources.lp300w import files_of_300w_lp, is_300w_lp


class _Layout(NamedTuple):
    is_here: Callable[[Path], bool]
    files: Callable[[Path], list[FoundFile]]


# In the order in which `auto` asks.
_LAYOUTS: dict[PhotographsLayout, _Layout] = {
    "list": _Layout(lambda source: source.is_file() and source.suffix.lower() in LIST_SUFFIXES, files_in_list),
    "archive": _Layout(lambda source: source.is_file() and is_archive(source), files_in_archive),
    "celebamask_hq": _Layout(is_celebamask_hq, celebamask_hq_files),
    "celeba": _Layout(is_celeba, celeba_files),
    "300w_lp": _Layout(is_300w_lp, files_of_300w_lp),
    "lapa": _Layout(is_lapa, lapa_files),
    "ffhq": _Layout(is_ffhq, ffhq_files),
    "folder": _Layout(Path.is_dir, files_in),
}
_OF_ONE_FILE = ("list", "archive")


def found_files(source: Path, layout: PhotographsLayout) -> list[FoundFile]:
    """The files of a source, each under a key of its own; ValueError when it does not have the layout."""
    if layout == "auto":
        layout = recognised(source)
    is_right = source.is_file() if layout in _OF_ONE_FILE else source.is_dir()
    if not is_right:
        kind = "file" if layout in _OF_ONE_FILE else "folder"
        raise ValueError(f"photographs.source: layout {layout!r} expects a {kind}, got {str(source)!r}")
    return list(once_each(_LAYOUTS[layout].files(source)))


def recognised(source: Path) -> PhotographsLayout:
    """The layout that a source's telling files show; ValueError for a file that is neither list nor archive."""
    if not source.exists():
        raise ValueError(
            f"photographs.source: expected 'synthetic', a folder with photographs, a list"
            f" ({', '.join(LIST_SUFFIXES)}) or an archive ({', '.join(ARCHIVE_SUFFIXES)}), got {str(source)!r}"
        )
    names = [name for name, layout in _LAYOUTS.items() if name in _OF_ONE_FILE or source.is_dir()]
    layout = next((name for name in names if _LAYOUTS[name].is_here(source)), None)
    if layout is None:
        raise ValueError(
            f"photographs.source: {str(source)!r} is neither a list ({', '.join(LIST_SUFFIXES)}) nor an archive"
            f" ({', '.join(ARCHIVE_SUFFIXES)}); photographs.layout can name what it is"
        )
    return layout
