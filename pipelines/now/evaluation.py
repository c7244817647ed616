"""Errors of a submission on those subjects of the NoW benchmark that have a scan: the validation set's."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from models.icp import Ball, IcpSettings, Matcher, registered, similarity_from_corresponding
from models.surface import Surface, closest_on_surface, surface_from_mesh
from pipelines.benchmarks.raw import RawSample
from pipelines.benchmarks.scans import read_mesh
from pipelines.now.reader import NowScan, read_now_scan, scanned_subjects

ERRORS = "errors.csv"
SUMMARY = "errors.json"
ALL = "all"
_PART_OF_NOSE = 0.3  # from its bottom to its bridge: the centre of the crop
_REACH = 1.4  # radius of the crop over the mean of the eyes' distance and the nose's length


def evaluate_submission(now: Path, samples: Sequence[RawSample], submission: Path, *, iterations: int) -> bool:
    """Write the errors of each photograph and, pooled over all points, of each challenge; False without any scan.

    The steps are those of the benchmark's own evaluation: seven landmarks, then a registration of the cropped scan with
    isotropic scale, then the distance of each of its points to the closest one of the mesh's surface.

    Deviation: the registration minimises point-to-plane distances where the benchmark's own code takes those to the
    surface; that code gives the number to publish.
    """
    subjects = scanned_subjects(now, [sample.subject for sample in samples])
    if not subjects:
        return False
    found: dict[str, NDArray[np.float32]] = {}
    for subject in tqdm(subjects, desc="evaluate now", unit="subject"):
        scan = read_now_scan(now, subject)
        names = [sample.name for sample in samples if sample.subject == subject]
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # the k-d tree works outside Python's lock
            errors = pool.map(partial(_errors_of, submission, scan, iterations=iterations), names)
            found |= dict(zip(names, errors, strict=True))
    challenge = {sample.name: sample.condition for sample in samples}
    rows = [{"photograph": name, "challenge": challenge[name], **_statistics([one])} for name, one in found.items()]
    pd.DataFrame(rows).to_csv(submission / ERRORS, index=False, float_format="%.4f")
    groups = {
        name: [one for key, one in found.items() if challenge[key] == name] for name in sorted({*challenge.values()})
    }
    summary = {name: {"photographs": len(errors), **_statistics(errors)} for name, errors in groups.items() if errors}
    summary = {ALL: {"photographs": len(found), **_statistics(list(found.values()))}, **summary}
    (submission / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n")
    return True


def _errors_of(submission: Path, scan: NowScan, name: str, *, iterations: int) -> NDArray[np.float32]:
    mesh = read_mesh(submission / f"{name}.ply")
    landmarks = np.load(submission / f"{name}.npy", allow_pickle=False)
    return scan_errors(surface_from_mesh(mesh.vertices, mesh.triangles), landmarks, scan, iterations=iterations)


def scan_errors(
    mesh: Surface, landmarks: NDArray[np.float64], scan: NowScan, *, iterations: int
) -> NDArray[np.float32]:
    """Distances in mm of the cropped scan's points to a mesh of any size and place, with its seven landmarks."""
    ball = crop(scan.landmarks)
    whole = surface_from_mesh(scan.vertices, scan.triangles)
    cropped = whole.part(ball.contains(whole.points))
    start = similarity_from_corresponding(landmarks, scan.landmarks)
    found = registered(Matcher(mesh, cropped, ball, from_scan=True), start, IcpSettings(iterations, kept_fraction=1.0))
    closest = closest_on_surface(found.moved_back(cropped.points), mesh)
    return np.linalg.norm(cropped.points - found.moved(closest), axis=1).astype(np.float32)


def crop(landmarks: NDArray[np.float64]) -> Ball:
    """The part of a scan that the benchmark compares, from its seven landmarks."""
    outer_right, inner_right, inner_left, outer_left, bottom = landmarks[:5]
    bridge = (inner_right + inner_left) / 2
    size = (np.linalg.norm(outer_right - outer_left) + np.linalg.norm(bridge - bottom)) / 2
    return Ball(bottom + _PART_OF_NOSE * (bridge - bottom), float(_REACH * size))


def _statistics(errors: Sequence[NDArray[np.float32]]) -> dict[str, float]:
    """Over all points of all photographs together, mm."""
    pooled = np.concatenate(errors).astype(np.float64)
    return {
        "points": len(pooled),
        **{f"{name}_mm": round(float(one(pooled)), 4) for name, one in (("median", np.median), ("mean", np.mean))},
        "std_mm": round(float(pooled.std()), 4),
    }
