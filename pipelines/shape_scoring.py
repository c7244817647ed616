"""Shape error of each sample's averaged mesh against its scan, under one protocol or several."""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from models.face_model import FaceModel
from models.icp import IcpSettings, Similarity, similarity_from_corresponding
from models.landmarks import NOSE_TIP
from models.protocols import Protocol
from models.segments import SEGMENT_INDEX
from models.shape_error import MarkedScan, ShapeError, no_shape_error, shape_error
from models.surface import surface_from_mesh
from pipelines.benchmarks.common import Sample
from pipelines.benchmarks.scans import FURTHER, read_mesh
from pipelines.predicted_meshes import mesh_flaw, read_predicted_mesh
from pipelines.scoring import NO_FACE, NO_LANDMARKS, OK, SCORE_COLUMNS, MethodPredictions

# Landmarks that hold scan and mesh together before ICP: corners of the eyes, tip of the nose, corners of the mouth.
_HOLDING = [36, 39, 42, 45, NOSE_TIP, 48, 54]


class ShapeScoring(NamedTuple):
    """What all scores of one benchmark share."""

    benchmark: Path
    model: FaceModel
    icp: IcpSettings


class _Measured(NamedTuple):
    sample: Sample
    protocol: Protocol
    value_mm: float
    scale: float
    status: str


def shape_scores(
    predictions: MethodPredictions, samples: Sequence[Sample], *, scoring: ShapeScoring, protocol: Protocol
) -> pd.DataFrame:
    """Tables 2 to 4: error of each sample's averaged mesh, mm; the column is the sample's condition."""
    found = _measured(predictions, samples, [protocol], scoring)
    return _table(predictions.method, found, lambda one: one.sample.condition)


def protocol_scores(
    predictions: MethodPredictions, samples: Sequence[Sample], *, scoring: ShapeScoring, protocols: Sequence[Protocol]
) -> pd.DataFrame:
    """Error of each sample's averaged mesh under each protocol, mm; the column is the protocol's name."""
    found = _measured(predictions, samples, protocols, scoring)
    return _table(predictions.method, found, lambda one: one.protocol.name)


def _table(method: str, found: Sequence[_Measured], column: Callable[[_Measured], str]) -> pd.DataFrame:
    rows = [(method, column(one), one.sample.sample, one.value_mm, one.status) for one in found]
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def _measured(
    predictions: MethodPredictions, samples: Sequence[Sample], protocols: Sequence[Protocol], scoring: ShapeScoring
) -> list[_Measured]:
    """All samples under all protocols; those with one scale for the method are measured again with it."""
    title = f"shape {predictions.method} {scoring.benchmark.name}"
    found = _each(partial(_measure, predictions, protocols, scoring, {}), samples, title)
    scales = {
        protocol: float(np.median([one.scale for one in found if one.protocol == protocol and one.status == OK] or [1]))
        for protocol in protocols
        if protocol.scale == "method"
    }
    if not scales:
        return found
    again = _each(partial(_measure, predictions, list(scales), scoring, scales), samples, f"{title}, one scale")
    return [one for one in found if one.protocol not in scales] + again


def _each(measure: Callable[[Sample], list[_Measured]], samples: Sequence[Sample], title: str) -> list[_Measured]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the k-d tree works outside Python's lock
        results = list(tqdm(pool.map(measure, samples), total=len(samples), desc=title, unit="sample"))
    return [one for result in results for one in result]


def _measure(
    predictions: MethodPredictions,
    protocols: Sequence[Protocol],
    scoring: ShapeScoring,
    scales: dict[Protocol, float],
    sample: Sample,
) -> list[_Measured]:
    """One sample under the protocols; `scales` has the scale of those that do not search for it."""
    without = partial(_Measured, sample, value_mm=np.nan, scale=np.nan)
    if not sample.keys:
        return [without(protocol, status=NO_FACE) for protocol in protocols]
    path = predictions.folder / "meshes" / scoring.benchmark.name / f"{sample.sample}.npz"
    vertices = read_predicted_mesh(path, scoring.model)
    if flaw := mesh_flaw(vertices, scoring.model):
        return [without(protocol, status=flaw) for protocol in protocols]
    scans = _scans(scoring.benchmark / sample.scan, further=any(protocol.best_scan for protocol in protocols))
    registered: dict[tuple[Path, Protocol], ShapeError] = {}  # protocols that differ in the statistic share one
    measured = []
    for protocol in protocols:
        usable = [file for file, scan in scans.items() if scan.landmarks is not None or not protocol.needs_landmarks]
        if not usable:
            measured.append(without(protocol, status=NO_LANDMARKS))
            continue
        errors = []
        for file in usable if protocol.best_scan else usable[:1]:
            key = file, replace(protocol, name="", source="", statistic="mean")
            if key not in registered:
                registered[key] = _error(
                    file, vertices, scans[file], scoring=scoring, protocol=protocol, scale=scales.get(protocol)
                )
            errors.append(registered[key].under(protocol.statistic))
        best = min(errors, key=lambda error: error.value_mm)
        measured.append(_Measured(sample, protocol, best.value_mm, best.scan_from_mesh.scale, OK))
    return measured


def _error(
    file: Path,
    vertices: NDArray[np.float64],
    scan: MarkedScan,
    *,
    scoring: ShapeScoring,
    protocol: Protocol,
    scale: float | None,
) -> ShapeError:
    try:
        return registered_mesh(vertices, scan, scoring=scoring, protocol=protocol, scale=scale)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _scans(path: Path, *, further: bool) -> dict[Path, MarkedScan]:
    """A sample's scan, and those that lie beside it as further scans of the same face."""
    others = sorted(path.parent.glob(f"{path.stem}{FURTHER}*{path.suffix}")) if further else []
    return {file: read_scan(file) for file in (path, *others)}


def read_scan(path: Path) -> MarkedScan:
    """A scan of a benchmark folder; without marked landmarks its nose tip is the point farthest to the front."""
    scan = read_mesh(path)
    surface = surface_from_mesh(scan.vertices, scan.triangles)
    if not len(surface.points) or not np.isfinite(surface.points).all():
        raise ValueError(f"{path}: expected a scan of finite points in triangles that have an area, found none")
    marked = path.with_suffix(".json")
    if not marked.is_file():
        return MarkedScan(surface, surface.points[surface.points[:, 2].argmax()])
    landmarks = np.array(json.loads(marked.read_text()), np.float64)
    return MarkedScan(surface, landmarks[NOSE_TIP], landmarks)


def registered_sample(file: Path, scan: MarkedScan, *, scoring: ShapeScoring, protocol: Protocol) -> ShapeError:
    """A sample's averaged mesh, read from a file and registered to its scan, with the error of every point."""
    vertices = read_predicted_mesh(file, scoring.model)
    if mesh_flaw(vertices, scoring.model):
        return no_shape_error(vertices)
    return registered_mesh(vertices, scan, scoring=scoring, protocol=protocol)


def registered_mesh(
    vertices: NDArray[np.float64],
    scan: MarkedScan,
    *,
    scoring: ShapeScoring,
    protocol: Protocol,
    scale: float | None = None,
) -> ShapeError:
    """A mesh of the face model's topology registered to a scan, with the error of every point."""
    model = scoring.model
    own = vertices[model.arrays.landmark_vertices]
    if scan.landmarks is None:  # both stand upright and look ahead
        start = Similarity(1.0, np.eye(3), scan.nose_tip - own[NOSE_TIP])
    else:
        start = similarity_from_corresponding(own[_HOLDING], scan.landmarks[_HOLDING])
    surface = surface_from_mesh(vertices, _outside(model))
    return shape_error(surface, scan, scan_from_mesh=start, protocol=protocol, icp=scoring.icp, scale=scale)


def _outside(model: FaceModel) -> NDArray[np.int32]:
    """Triangles without the inside of the mouth, which no scan shows."""
    inside = model.arrays.regions == SEGMENT_INDEX["inner_mouth"]
    return model.arrays.triangles[~inside[model.arrays.triangles].any(axis=1)]
