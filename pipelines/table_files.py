"""Tables as files: CSV in long form, Markdown and LaTeX with the paper's values beside the measured ones."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from pipelines.tables import MEASURED, Paper, TableCell, TableSpec

# fmt: off
ROW_LABELS = {
    "full": "full", "no_id": "− id", "no_photo": "− photo", "no_lmk": "− lmk", "no_mouth": "− mouth",
    "no_lmk_mouth": "− lmk − mouth", "no_reg": "− reg", "no_uniform": "− uniform", "mean_face": "mean face",
    "wsl_control": "WSL control (ours, diffuse-only)",
    "mean_prediction": "mean prediction", "truth": "truth",
    "3ddfa_v2": "3DDFA_V2", "mgcnet": "MGCNet", "wsl": "WSL (Deep3D)", "prnet": "PRNet", "ringnet": "RingNet",
}
# fmt: on


def write_table(folder: Path, spec: TableSpec, cells: Sequence[TableCell], paper: Paper) -> None:
    """Write `<table>.csv`, `.md` and `.tex`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / f"{spec.name}.csv", cells)
    write_grid(folder, spec.name, list(_grid(spec, cells, paper)), title=spec.title, notes=_notes(spec, cells, paper))


def write_grid(folder: Path, name: str, grid: Sequence[Sequence[str]], *, title: str, notes: str) -> None:
    """Write header and rows as `<name>.md` and `<name>.tex`."""
    (folder / f"{name}.md").write_text(_markdown(grid, title, notes))
    (folder / f"{name}.tex").write_text(_latex(grid, title, notes, label=name))


def _write_csv(path: Path, cells: Sequence[TableCell]) -> None:
    """One line for each cell: nothing where there is no number, NaN where a method diverged."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(TableCell))
        for cell in cells:
            writer.writerow([csv_text(value) for value in astuple(cell)])


def csv_text(value: str | float | None) -> str:
    """A value of a CSV file: nothing where there is no number, six digits of a fraction."""
    if value is None:
        return ""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def cell_text(mean: float | None, std: float | None, digits: int) -> str:
    """Mean ± standard deviation; NaN for a diverged method."""
    if mean is None or std is None:
        return ""
    return "NaN" if math.isnan(mean) else f"{mean:.{digits}f} ± {std:.{digits}f}"


def _measured_text(cell: TableCell, digits: int) -> str:
    return cell_text(cell.mean, cell.std, digits) or cell.status


def _grid(spec: TableSpec, cells: Sequence[TableCell], paper: Paper) -> Iterator[list[str]]:
    """Header and rows; each column is followed by the paper's where the paper has one."""
    by_place = {(cell.row, cell.column): cell for cell in cells}
    in_paper = {column.key for column in spec.columns if any(column.key in row for row in paper.rows.values())}
    header = ["method"]
    for column in spec.columns:
        title = f"{column.label} ({column.unit})" if column.unit else column.label
        header += [title] if column.measured else []
        header += ["paper" if column.measured else f"paper: {title}"] if column.key in in_paper else []
    yield header
    for row in spec.rows:
        line = [ROW_LABELS.get(row, row)]
        for column in spec.columns:
            cell = by_place[row, column.key]
            line += [_measured_text(cell, column.digits)] if column.measured else []
            line += [cell_text(cell.paper_mean, cell.paper_std, column.digits)] if column.key in in_paper else []
        yield line


def _notes(spec: TableSpec, cells: Sequence[TableCell], paper: Paper) -> str:
    counts = sorted({cell.count for cell in cells if cell.status == MEASURED})
    samples = f" Samples in a cell: {'–'.join(map(str, dict.fromkeys((counts[0], counts[-1]))))}." if counts else ""
    printed = f" Paper: {paper.protocol}." if paper.protocol else ""
    return f"Mean ± standard deviation over {spec.spread}. Measured: {spec.caption}.{samples}{printed}"


def _markdown(grid: Sequence[Sequence[str]], title: str, notes: str) -> str:
    header, *lines = grid
    rule = ["---", *["---:"] * (len(header) - 1)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *lines))
    return f"**{title}**\n\n{table}\n\n{notes}\n"


def _latex(grid: Sequence[Sequence[str]], title: str, notes: str, *, label: str) -> str:
    header, *lines = ([_escaped(text) for text in line] for line in grid)
    body = "\n".join(" & ".join(line) + r" \\" for line in lines)
    return (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{_escaped(title)} {_escaped(notes)}}}\n"
        f"\\label{{tab:{label}}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}\n\\toprule\n{' & '.join(header)} \\\\\n\\midrule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def _escaped(text: str) -> str:
    for plain, escaped in (("%", r"\%"), ("_", r"\_"), ("−", "$-$"), ("±", r"$\pm$"), ("–", "--"), ("°", r"$^\circ$")):
        text = text.replace(plain, escaped)
    return text
