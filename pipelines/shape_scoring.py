"""Shape error of each sample's averaged mesh against its scan."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from models.face_model import FaceModel
from models.landmarks import NOSE_TIP
from models.segments import SEGMENT_INDEX
from models.shape_error import (
    Protocol,
    ShapeError,
    Similarity,
    Surface,
    no_shape_error,
    shape_error,
    similarity_from_corresponding,
    surface_from_mesh,
)
from pipelines.benchmarks.common import Sample
from pipelines.benchmarks.scans import read_mesh
from pipelines.scoring import DIVERGED, NO_FACE, OK, SCORE_COLUMNS, MethodPredictions

# Landmarks that hold scan and mesh together before ICP: corners of the eyes, tip of the nose, corners of the mouth.
_HOLDING = [36, 39, 42, 45, NOSE_TIP, 48, 54]


class ScanTruth(NamedTuple):
    """A ground-truth scan ready for registration."""

    surface: Surface
    nose_tip: NDArray[np.float64]
    landmarks: NDArray[np.float64] | None  # (68, 3)


def shape_scores(
    predictions: MethodPredictions,
    benchmark: Path,
    samples: Sequence[Sample],
    *,
    model: FaceModel,
    protocol: Protocol,
) -> pd.DataFrame:
    """Tables 2 to 4: point-to-plane error of each sample's averaged mesh, mm; the column is the sample's condition."""

    def score(sample: Sample) -> tuple[str, str, str, float, str]:
        if not sample.keys:
            return predictions.method, sample.condition, sample.sample, np.nan, NO_FACE
        mesh = predictions.folder / "meshes" / benchmark.name / f"{sample.sample}.npz"
        truth = read_truth(benchmark / sample.scan)
        value = registered_sample(mesh, truth, model=model, protocol=protocol).value_mm
        return predictions.method, sample.condition, sample.sample, value, OK if np.isfinite(value) else DIVERGED

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the k-d tree works outside Python's lock
        title = f"shape {predictions.method} {benchmark.name}"
        results = list(tqdm(pool.map(score, samples), total=len(samples), desc=title, unit="sample"))
    return pd.DataFrame(results, columns=SCORE_COLUMNS)


def read_truth(path: Path) -> ScanTruth:
    """A scan of a benchmark folder; without marked landmarks its nose tip is the point farthest to the front."""
    scan = read_mesh(path)
    surface = surface_from_mesh(scan.vertices, scan.triangles)
    marked = path.with_suffix(".json")
    if not marked.is_file():
        return ScanTruth(surface, surface.points[surface.points[:, 2].argmax()], None)
    landmarks = np.array(json.loads(marked.read_text()), np.float64)
    return ScanTruth(surface, landmarks[NOSE_TIP], landmarks)


def registered_sample(mesh: Path, truth: ScanTruth, *, model: FaceModel, protocol: Protocol) -> ShapeError:
    """A sample's averaged mesh registered to its scan, with the error of every point."""
    if not mesh.is_file():
        raise FileNotFoundError(f"{mesh}: missing; run the stage predict for this method")
    with np.load(mesh, allow_pickle=False) as file:
        vertices = file["vertices"].astype(np.float64)
    if not np.isfinite(vertices).all():
        return no_shape_error(vertices)
    own = vertices[model.arrays.landmark_vertices]
    if truth.landmarks is None:  # both stand upright and look ahead
        start = Similarity(1.0, np.eye(3), truth.nose_tip - own[NOSE_TIP])
    else:
        start = similarity_from_corresponding(own[_HOLDING], truth.landmarks[_HOLDING])
    surface = surface_from_mesh(vertices, _outside(model))
    return shape_error(surface, truth.surface, scan_from_mesh=start, nose_tip=truth.nose_tip, protocol=protocol)


def _outside(model: FaceModel) -> NDArray[np.int32]:
    """Triangles without the inside of the mouth, which no scan shows."""
    inside = model.arrays.regions == SEGMENT_INDEX["inner_mouth"]
    return model.arrays.triangles[~inside[model.arrays.triangles].any(axis=1)]
