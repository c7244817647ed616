"""An embedded twin of MICC Florence 2D/3D in its own layout: neutral scans, and frames of three kinds of clip."""

import json
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pipelines.benchmarks.read_micc import CLIPS
from pipelines.benchmarks.scans import scanned, write_mesh
from pipelines.benchmarks.studio import Setting, Studio, Subject, TwinPlan, run_jobs, save_photograph, setting_light

_BENCHMARK = 1  # keeps the random numbers apart from those of the other twins
_FIRST_TIMESTAMP = 110920150000  # yymmddHHMMSS, like the data set's file names
_SECONDS_LATER = 13  # the second frontal scan

SETTINGS = {
    "cooperative": Setting(18, 4, 3, "ambient", 1.0, (0.55, 0.70), blur_px=0.0, resolution=1.0, noise=0.003),
    "indoor": Setting(32, 7, 5, "coloured", 0.6, (0.40, 0.55), blur_px=0.6, resolution=0.8, noise=0.020),
    "outdoor": Setting(38, 8, 6, "directional", 1.1, (0.30, 0.42), blur_px=0.3, resolution=0.9, noise=0.008),
}


def write_micc_twin(plan: TwinPlan, *, subjects: int, frames: int, workers: int) -> dict[str, float]:
    """Write the twin under `plan.folder`; returns the skin tone of each subject, ITA degrees."""
    tones = run_jobs(partial(_write_subject, frames=frames), plan, subjects, workers=workers, name="micc twin")
    return {_subject_name(number): tone for number, tone in enumerate(tones)}


def _subject_name(number: int) -> str:
    return f"subject_{number + 1:02d}"


def _write_subject(studio: Studio, number: int, *, frames: int) -> float:
    rng = np.random.default_rng([studio.plan.seed, _BENCHMARK, number])
    subject = studio.subject(rng)
    folder = studio.plan.folder / _subject_name(number)
    timestamp = _FIRST_TIMESTAMP + 1000 * number
    _write_scan(folder / f"Model/frontal1/obj/{timestamp}.obj", studio, subject, rng)
    again = np.random.default_rng([studio.plan.seed, _BENCHMARK, number, 2])
    _write_scan(folder / f"Model/frontal2/obj/{timestamp + _SECONDS_LATER}.obj", studio, subject, again)
    for condition, clip in CLIPS.items():
        setting = SETTINGS[condition]
        light = setting_light(setting, rng)
        for frame in range(frames):
            view = studio.view(setting, rng, light=light)
            expression = {} if frame % 2 == 0 else {"mouthSmile": rng.uniform(0, 0.4), "jawOpen": rng.uniform(0, 0.15)}
            taken = studio.take(subject, studio.crowd.vertices(subject.person, expression), view)
            save_photograph(folder / clip / f"frame_{frame:04d}.jpg", taken, view)
    return subject.person.skin_tone_ita


def _write_scan(path: Path, studio: Studio, subject: Subject, rng: np.random.Generator) -> None:
    """A neutral scan: upright and frontal within a few degrees, not centred, with marked landmarks beside it."""
    crowd, params = studio.crowd, studio.plan.params
    turn = Rotation.from_euler("xyz", rng.normal(0, 4, 3), degrees=True).as_matrix()
    vertices = crowd.vertices(subject.person, {}) @ turn.T + rng.uniform(-80, 80, 3)
    scan = scanned(
        vertices,
        crowd.visible_triangles,
        noise_mm=params.scan_noise_mm,
        hole_fraction=params.hole_fraction,
        rng=rng,
    )
    write_mesh(path, scan.vertices, scan.triangles)
    marked = vertices[crowd.arrays.landmark_vertices] + rng.normal(0, 1.0, (68, 3))  # a hand is not exact
    _write_ljson(path.with_suffix(".ljson"), marked)


def _write_ljson(path: Path, landmarks: NDArray[np.float64]) -> None:
    """A menpo landmark file, as GANFit's evaluation ships for the real scans."""
    groups = {"LJSON": {"labels": [], "landmarks": {"points": np.round(landmarks, 3).tolist()}}}
    path.write_text(json.dumps({"version": 3, "groups": groups}) + "\n")
