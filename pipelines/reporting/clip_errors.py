"""One scan for each kind of MICC clip with the error of each method on it: what Figure 6 and its 3D views show."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.light import linear_from_srgb
from models.protocols import Protocol
from models.shape_error import ShapeError
from pipelines.benchmarks.common import Sample, read_samples
from pipelines.benchmarks.scans import Scan, read_mesh
from pipelines.methods import MEAN_FACE, OURS, WSL_CONTROL
from pipelines.shape_scoring import ShapeScoring, read_scan, registered_sample

_TITLES = {OURS: "ours", WSL_CONTROL: "WSL control", MEAN_FACE: "mean face"}
SCALE_MM = 4.0  # end of the colour scale
COLOURS = matplotlib.colormaps["viridis"]
_STEPS = 255  # of the colour scale; the choice after them means: not measured
_OUTSIDE_RGB = (0.75, 0.75, 0.75)  # points that the protocol leaves out
_REACH_MM = 3.0  # how far from a measured point a vertex may lie to take its colour
_NOSE_TO_CENTRE_MM = (0.0, 11.0, -25.0)  # what comes to the middle of the picture


class ClipErrors(NamedTuple):
    """A sample of one kind of clip, its scan, and what each method's averaged mesh is off; mm, the scan's frame."""

    sample: Sample
    scan: Scan
    centre: NDArray[np.float64]  # (3,) what comes to the middle of pictures
    meshes: dict[str, Path]  # by method
    results: dict[str, ShapeError | None]  # by method; None for a diverged training


def shown_methods(variants: Sequence[str]) -> dict[str, str]:
    """The titles of the methods whose errors are shown when these variants are trained."""
    return {method: title for method, title in _TITLES.items() if method in (*variants, MEAN_FACE)}


def clip_errors(
    scoring: ShapeScoring, predictions: Path, protocol: Protocol, methods: Sequence[str]
) -> list[ClipErrors]:
    """One sample with a frame for each kind of clip, of a different subject where there are several."""
    usable = [sample for sample in read_samples(scoring.benchmark) if sample.keys]
    chosen = []
    for number, condition in enumerate(sorted({sample.condition for sample in usable})):
        of_clip = [sample for sample in usable if sample.condition == condition]
        chosen.append(_measured(scoring, predictions, protocol, methods, of_clip[number % len(of_clip)]))
    return chosen


def _measured(
    scoring: ShapeScoring, predictions: Path, protocol: Protocol, methods: Sequence[str], sample: Sample
) -> ClipErrors:
    benchmark = scoring.benchmark
    truth = read_scan(benchmark / sample.scan)
    meshes = {method: predictions / method / "meshes" / benchmark.name / f"{sample.sample}.npz" for method in methods}
    found = {
        method: registered_sample(mesh, truth, scoring=scoring, protocol=protocol) for method, mesh in meshes.items()
    }
    return ClipErrors(
        sample=sample,
        scan=read_mesh(benchmark / sample.scan),
        centre=truth.nose_tip + np.array(_NOSE_TO_CENTRE_MM),
        meshes=meshes,
        results={method: one if np.isfinite(one.value_mm) else None for method, one in found.items()},
    )


def error_choices(scan: Scan, result: ShapeError) -> NDArray[np.uint8]:
    """For each vertex of the scan its colour in `error_palette`."""
    distance, nearest = cKDTree(result.points).query(scan.vertices)
    shares = np.clip(result.distances_mm[nearest] / SCALE_MM, 0, 1)
    choices = np.round(shares * (_STEPS - 1)).astype(np.uint8)
    choices[distance > _REACH_MM] = _STEPS
    return choices


def error_palette() -> NDArray[np.float32]:
    """Linear RGB from 0 to `SCALE_MM`, and last the grey of what was not measured."""
    srgb = np.concatenate([COLOURS(np.linspace(0, 1, _STEPS))[:, :3], [_OUTSIDE_RGB]]).astype(np.float32)
    linear: NDArray[np.float32] = linear_from_srgb(torch.from_numpy(srgb)).numpy()
    return linear
