"""An embedded twin of AFLW2000-3D in its own layout: single photographs with a MATLAB file of landmarks and pose."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from pipelines.benchmarks.read_aflw2000 import MATLAB_ORIGIN
from pipelines.benchmarks.studio import Setting, Studio, TwinPlan, run_jobs, save_photograph
from pipelines.synthetic.photograph import project
from pipelines.synthetic.view import Chances, View

_BENCHMARK = 3
_LARGE_POSE_FRACTION = 0.3  # of the photographs; the rest lies within 30° of yaw
_LARGE_YAW_DEGREES = (30.0, 60.0)
_HEADER = b"MATLAB 5.0 MAT-file, twin of AFLW2000-3D".ljust(116)  # SciPy's own header holds the time of day
_SETTING = Setting(30, 8, 8, None, 1.0, (0.42, 0.65), 0.0, 1.0, 0.006, chances=Chances(0.1, 0.05, 0.0))

# Mixed expressions; open mouths matter most for Table 5.
_EXPRESSIONS: tuple[dict[str, float], ...] = (
    {},
    {"mouthSmile": 0.8, "cheekSquint": 0.4},
    {"mouthSmile": 0.8, "jawOpen": 0.3, "mouthUpperUp": 0.5},
    {"jawOpen": 0.35},
    {"jawOpen": 0.8},
    {"mouthFunnel": 0.7, "jawOpen": 0.3},
    {"mouthPucker": 0.7},
    {"mouthStretch": 0.7, "mouthLowerDown": 0.6, "jawOpen": 0.2},
)


def write_aflw2000_twin(plan: TwinPlan, *, photographs: int, workers: int) -> dict[str, float]:
    """Write the twin under `plan.folder`; returns the skin tone of each photograph's person, ITA degrees."""
    tones = run_jobs(_write_photograph, plan, photographs, workers=workers, name="aflw2000 twin")
    return {_name(number): tone for number, tone in enumerate(tones)}


def _name(number: int) -> str:
    return f"image{number + 2:05d}"  # the data set begins at 2


def _write_photograph(studio: Studio, number: int) -> float:
    rng = np.random.default_rng([studio.plan.seed, _BENCHMARK, number])
    subject = studio.subject(rng)
    view = studio.view(_SETTING, rng)
    if rng.random() < _LARGE_POSE_FRACTION:
        pitch, _, roll = view.euler_angles
        yaw = np.radians(rng.choice([-1, 1]) * rng.uniform(*_LARGE_YAW_DEGREES))
        view = view._replace(euler_angles=np.array([pitch, yaw, roll], np.float32))
    mix, strength = _EXPRESSIONS[rng.integers(len(_EXPRESSIONS))], rng.uniform(0.6, 1.1)
    vertices = studio.crowd.vertices(subject.person, {action: strength * amount for action, amount in mix.items()})
    path = studio.plan.folder / f"{_name(number)}.jpg"
    save_photograph(path, studio.take(subject, vertices, view), view)
    marked = vertices[studio.crowd.arrays.landmark_vertices].astype(np.float32)
    _write_mat(path.with_suffix(".mat"), marked, view, studio.plan.params.size)
    return subject.person.skin_tone_ita


def _write_mat(path: Path, landmarks: NDArray[np.float32], view: View, size: int) -> None:
    """The fields that the data set's files have, as far as a twin knows them."""
    pixels, depth = project(landmarks, view, size)
    pixels_per_mm = view.camera.focal_length * size / 2 / view.camera.distance_mm
    points = np.concatenate([pixels + MATLAB_ORIGIN, depth[:, None] * pixels_per_mm], axis=1).T
    centre = pixels.mean(axis=0)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    fields = {
        "pt3d_68": points.astype(np.float32),
        "roi": np.round([*low, *high])[None],
        "Pose_Para": np.array([[*view.euler_angles, centre[0], size - centre[1], 0.0, pixels_per_mm]], np.float32),
    }
    buffer = io.BytesIO()
    savemat(buffer, fields)
    path.write_bytes(_HEADER + buffer.getvalue()[len(_HEADER) :])
