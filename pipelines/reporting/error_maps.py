"""Figure 6: reconstructed faces beside the true scan, and the distance to it as a colour map in mm."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from models.icp import IcpSettings
from models.protocols import Protocol
from models.shape_error import ShapeError
from pipelines.reporting.artist import Artist, Picture
from pipelines.reporting.clip_errors import (
    COLOURS,
    SCALE_MM,
    ClipErrors,
    clip_errors,
    error_choices,
    error_palette,
    shown_methods,
)
from pipelines.reporting.sheet import WIDTH_INCHES, Cell, draw_cell, new_figure, save
from pipelines.shape_scoring import ShapeScoring
from pipelines.shards import ShardReader, decode

_ROW_INCHES = 1.3
_WIDTH_SHARE = 0.72  # of a picture that is shown; a face is higher than wide
_NOTE = "3DDFA_V2, MGCNet, WSL, PRNet and RingNet, which the paper shows here, are not built yet."


class _Row(NamedTuple):
    label: str
    cells: list[Cell]
    notes: list[str]


def error_map_figure(
    path: Path,
    artist: Artist,
    benchmark: Path,
    predictions: Path,
    *,
    variants: Sequence[str],
    protocol: Protocol,
    icp: IcpSettings,
    is_twin: bool,
) -> None:
    """One row for each clip: a frame, the averaged meshes, the scan, and the error of each method on the scan."""
    methods = shown_methods(variants)
    clips = clip_errors(ShapeScoring(benchmark, artist.model, icp), predictions, protocol, tuple(methods))
    rows = [_row(artist, benchmark, clip) for clip in clips]
    scan = "synthetic\nscan" if is_twin else "scan"
    titles = ["a frame", *methods.values(), scan, *(f"error,\n{name}" for name in methods.values())]
    figure, axes = new_figure(
        nrows=len(rows), ncols=len(titles), figsize=(WIDTH_INCHES, _ROW_INCHES * len(rows) + 0.4), squeeze=False
    )
    for line, row in zip(axes, rows, strict=True):
        for axis, cell, note in zip(line, row.cells, row.notes, strict=True):
            draw_cell(axis, _narrow(cell))
            axis.set_xlabel(note)
        line[0].set_ylabel(row.label)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    scale = ScalarMappable(Normalize(0, SCALE_MM), COLOURS)
    figure.colorbar(scale, ax=axes[:, -1], label="point to plane, mm", extend="max", shrink=0.8)
    figure.supxlabel(_NOTE, fontsize=7, color="0.35")
    save(figure, path)


def _narrow(cell: Cell) -> Cell:
    """The middle of a picture."""
    if not isinstance(cell, np.ndarray):
        return cell
    margin = round(cell.shape[1] * (1 - _WIDTH_SHARE) / 2)
    return cell[:, margin : cell.shape[1] - margin]


def _row(artist: Artist, benchmark: Path, clip: ClipErrors) -> _Row:
    keys = clip.sample.keys
    frame = decode(ShardReader(benchmark / "aligned").read(keys[len(keys) // 2], "jpg")) / 255
    shapes: list[Cell] = []
    errors: list[Cell] = []
    notes = []
    for method, result in clip.results.items():
        shapes.append(result and _registered_face(artist, clip.meshes[method], result, clip.centre))
        errors.append(result and _scan_picture(artist, clip, error_palette()[error_choices(clip.scan, result)]))
        notes.append(f"{result.value_mm:.2f} mm" if result else "")
    blank = [""] * (2 + len(shapes))
    return _Row(clip.sample.condition, [frame, *shapes, _scan_picture(artist, clip), *errors], [*blank, *notes])


def _registered_face(artist: Artist, mesh: Path, result: ShapeError, centre: NDArray[np.float64]) -> Picture:
    with np.load(mesh, allow_pickle=False) as file:
        points = result.scan_from_mesh.moved(file["vertices"].astype(np.float64)) - centre
    return artist.clay_face(torch.from_numpy(points.astype(np.float32)))


def _scan_picture(artist: Artist, clip: ClipErrors, colours: NDArray[np.float32] | None = None) -> Picture:
    points = torch.from_numpy((clip.scan.vertices - clip.centre).astype(np.float32))
    triangles = torch.from_numpy(clip.scan.triangles.astype(np.int32))
    return artist.clay_mesh(points, triangles, colours=None if colours is None else torch.from_numpy(colours))
