"""The tables of the page: the paper's five first, what belongs to one of them folded below it, the others after."""

import re
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from pipelines.reporting.markdown import html_of

_NUMBERED = re.compile(r"table(\d+)_")
_BEYOND = "Beyond the paper: "


class FoldedTable(NamedTuple):
    """A table that opens by a click on its title."""

    title: str
    html: Markup


class PaperTable(NamedTuple):
    """A table of the paper, and those that say more about it."""

    html: Markup
    more: list[FoldedTable]


class PageTables(NamedTuple):
    """All tables."""

    of_paper: list[PaperTable]
    beyond: list[FoldedTable]


def page_tables(folder: Path) -> PageTables:
    """The tables of a folder: `table3_micc.md` is the paper's, `table3_micc_intervals.md` belongs to it, others do not.

    FileNotFoundError when there is none.
    """
    files = sorted(folder.glob("*.md"))
    if not files:
        raise FileNotFoundError(f"{folder}: no tables; run the stage evaluate first")
    by_number: dict[int, list[Path]] = {}
    for path in files:
        if numbered := _NUMBERED.match(path.name):
            by_number.setdefault(int(numbered[1]), []).append(path)
    groups = [sorted(group, key=_words) for _, group in sorted(by_number.items())]
    return PageTables(
        of_paper=[PaperTable(_html(group[0]), [_folded(path) for path in group[1:]]) for group in groups],
        beyond=[_folded(path) for path in files if not _NUMBERED.match(path.name)],
    )


def _words(path: Path) -> tuple[int, str]:
    """Fewest words first: a table, its intervals, then its splits `_by_…`."""
    return path.stem.count("_"), path.stem


def _html(path: Path) -> Markup:
    return Markup(html_of(path.read_text()))


def _folded(path: Path) -> FoldedTable:
    """The first line, where it is a title, opens the table."""
    text = path.read_text().strip()
    first, _, rest = text.partition("\n")
    if first.startswith(("#", "**")):
        title = first.strip("#* ").removesuffix(".").removeprefix(_BEYOND)
        return FoldedTable(title[:1].upper() + title[1:], Markup(html_of(rest)))
    return FoldedTable(path.stem.replace("_", " ").capitalize(), Markup(html_of(text)))
