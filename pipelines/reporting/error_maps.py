"""Figure 6: reconstructed faces beside the true scan, and the distance to it as a colour map in mm."""

from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.icp import IcpSettings
from models.light import linear_from_srgb
from models.protocols import Protocol
from models.shape_error import ShapeError
from pipelines.benchmarks.common import Sample, read_samples
from pipelines.benchmarks.scans import Scan, read_mesh
from pipelines.reporting.artist import Artist, Picture
from pipelines.reporting.sheet import Cell, draw_cell, new_figure, save
from pipelines.shape_scoring import ShapeScoring, read_scan, registered_sample
from pipelines.shards import ShardReader, decode

_METHODS = {"full": "ours", "mean_face": "mean face"}
_SCALE_MM = 4.0  # end of the colour scale
_COLOURS = matplotlib.colormaps["viridis"]
_OUTSIDE_RGB = (0.75, 0.75, 0.75)  # points that the protocol leaves out
_REACH_MM = 3.0  # how far from a measured point a vertex may lie to take its colour
_NOSE_TO_CENTRE_MM = (0.0, 0.0, -25.0)  # what comes to the middle of the picture
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
    protocol: Protocol,
    icp: IcpSettings,
    is_twin: bool,
) -> None:
    """One row for each clip: a frame, the averaged meshes, the scan, and the error of each method on the scan."""
    scoring = ShapeScoring(benchmark, artist.model, icp)
    rows = [_row(artist, scoring, predictions, sample, protocol) for sample in _one_of_each_clip(benchmark)]
    names = list(_METHODS.values())
    titles = ["a frame", *names, "synthetic scan" if is_twin else "scan", *(f"error, {name}" for name in names)]
    figure, axes = new_figure(
        nrows=len(rows), ncols=len(titles), figsize=(1.7 * len(titles) + 0.8, 1.85 * len(rows) + 0.3), squeeze=False
    )
    for line, row in zip(axes, rows, strict=True):
        for axis, cell, note in zip(line, row.cells, row.notes, strict=True):
            draw_cell(axis, cell)
            axis.set_xlabel(note)
        line[0].set_ylabel(row.label)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    scale = ScalarMappable(Normalize(0, _SCALE_MM), _COLOURS)
    figure.colorbar(scale, ax=axes[:, -1], label="point to plane, mm", extend="max", shrink=0.8)
    figure.supxlabel(_NOTE, fontsize=7, color="0.35")
    save(figure, path)


def _one_of_each_clip(benchmark: Path) -> list[Sample]:
    """A sample with a frame for each clip, of a different subject where there are several."""
    usable = [sample for sample in read_samples(benchmark) if sample.keys]
    chosen = []
    for number, condition in enumerate(sorted({sample.condition for sample in usable})):
        of_clip = [sample for sample in usable if sample.condition == condition]
        chosen.append(of_clip[number % len(of_clip)])
    return chosen


def _row(artist: Artist, scoring: ShapeScoring, predictions: Path, sample: Sample, protocol: Protocol) -> _Row:
    benchmark = scoring.benchmark
    truth = read_scan(benchmark / sample.scan)
    scan = read_mesh(benchmark / sample.scan)
    centre = truth.nose_tip + np.array(_NOSE_TO_CENTRE_MM)
    frame = decode(ShardReader(benchmark / "aligned").read(sample.keys[len(sample.keys) // 2], "jpg")) / 255
    shapes: list[Cell] = []
    errors: list[Cell] = []
    notes = []
    for method in _METHODS:
        mesh = predictions / method / "meshes" / benchmark.name / f"{sample.sample}.npz"
        result = registered_sample(mesh, truth, scoring=scoring, protocol=protocol)
        finite = bool(np.isfinite(result.value_mm))
        shapes.append(_registered_face(artist, mesh, result, centre) if finite else None)
        errors.append(_scan_picture(artist, scan, centre, _error_colours(scan, result)) if finite else None)
        notes.append(f"{result.value_mm:.2f} mm" if finite else "")
    blank = [""] * (2 + len(shapes))
    return _Row(sample.condition, [frame, *shapes, _scan_picture(artist, scan, centre), *errors], [*blank, *notes])


def _registered_face(artist: Artist, mesh: Path, result: ShapeError, centre: NDArray[np.float64]) -> Picture:
    with np.load(mesh, allow_pickle=False) as file:
        points = result.scan_from_mesh.moved(file["vertices"].astype(np.float64)) - centre
    return artist.clay_face(torch.from_numpy(points.astype(np.float32)))


def _scan_picture(
    artist: Artist, scan: Scan, centre: NDArray[np.float64], colours: NDArray[np.float32] | None = None
) -> Picture:
    points = torch.from_numpy((scan.vertices - centre).astype(np.float32))
    triangles = torch.from_numpy(scan.triangles.astype(np.int32))
    return artist.clay_mesh(points, triangles, colours=None if colours is None else torch.from_numpy(colours))


def _error_colours(scan: Scan, result: ShapeError) -> NDArray[np.float32]:
    """Linear RGB for each vertex of the scan; grey where nothing was measured."""
    distance, nearest = cKDTree(result.points).query(scan.vertices)
    srgb = _COLOURS(Normalize(0, _SCALE_MM)(result.distances_mm[nearest]))[:, :3]
    srgb[distance > _REACH_MM] = _OUTSIDE_RGB
    colours: NDArray[np.float32] = linear_from_srgb(torch.from_numpy(srgb.astype(np.float32))).numpy()
    return colours
