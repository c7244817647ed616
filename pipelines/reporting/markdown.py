"""The little Markdown that tables and the regression check are written in, as HTML."""

import re
from collections.abc import Iterator
from html import escape
from itertools import groupby

_MUTED = frozenset({"", "–", "-", "not built", "no data", "nan", "diverged"})


def html_of(text: str) -> str:
    """Headings, paragraphs and pipe tables with **bold** and `code`; everything else is shown as it stands."""
    return "\n".join(_blocks(text))


def _blocks(text: str) -> Iterator[str]:
    lines = [line.strip() for line in text.splitlines()]
    for kind, group in groupby(lines, _kind):
        block = list(group)
        if kind == "table":
            yield _table(block)
        elif kind == "text":
            yield f"<p>{_inline(' '.join(block))}</p>"
        elif kind == "heading":
            yield from (f"<h3>{_inline(line.lstrip('# '))}</h3>" for line in block)


def _kind(line: str) -> str:
    if not line:
        return "blank"
    return "table" if line.startswith("|") else "heading" if line.startswith("#") else "text"


def _table(lines: list[str]) -> str:
    rows = [_cells(line) for line in lines]
    head, body = (rows[:1], rows[2:]) if len(rows) > 1 and _is_rule(rows[1]) else ([], rows)
    parts = ["<div class='wide'><table>"]
    parts += [f"<thead>{_row(cells, 'th')}</thead>" for cells in head]
    parts += ["<tbody>", *(_row(cells, "td") for cells in body), "</tbody></table></div>"]
    return "".join(parts)


def _row(cells: list[str], tag: str) -> str:
    marked = (f"<{tag}{' class=muted' if cell.lower() in _MUTED else ''}>{_inline(cell)}</{tag}>" for cell in cells)
    return f"<tr>{''.join(marked)}</tr>"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def _is_rule(cells: list[str]) -> bool:
    return all(re.fullmatch(r":?-+:?", cell) for cell in cells)


def _inline(text: str) -> str:
    escaped = escape(text, quote=False)
    bold = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", bold)
