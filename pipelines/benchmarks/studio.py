"""Where the twins' photographs are taken, and how the work is shared among processes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.face_model import FaceModel
from pipelines.benchmarks.people import Crowd, TwinPerson
from pipelines.face_model_file import load_face_model
from pipelines.params import TwinParams
from pipelines.shards import encode_jpeg
from pipelines.synthetic.camera_noise import Sensor
from pipelines.synthetic.head import Head
from pipelines.synthetic.light import Light, LightKind, draw_light
from pipelines.synthetic.photograph import Photograph, photograph
from pipelines.synthetic.view import NOTHING_WORN, Chances, View, draw_view
from pipelines.workers import ordered_map


class Subject(NamedTuple):
    """A person with a head to photograph."""

    person: TwinPerson
    head: Head


class Setting(NamedTuple):
    """Where and how a series of photographs is taken."""

    yaw_degrees: float  # uniform between minus and plus this
    pitch_degrees: float  # standard deviation
    roll_degrees: float  # standard deviation
    light_kind: LightKind | None  # None: any
    brightness: float
    face_fraction: tuple[float, float]  # of the picture's height
    blur_px: float
    resolution: float
    noise: float
    chances: Chances = NOTHING_WORN


@dataclass(frozen=True)
class TwinPlan:
    """All that a process needs to make its share of a twin."""

    face_model: Path
    folder: Path
    seed: int
    distance_mm: float  # of the camera
    params: TwinParams


class Studio:
    """Draws people and photographs them."""

    def __init__(self, plan: TwinPlan, model: FaceModel) -> None:
        self.plan = plan
        self.crowd = Crowd(model, detail_mm=plan.params.detail_mm)

    def subject(self, rng: np.random.Generator) -> Subject:
        """A random person."""
        person = self.crowd.person(rng)
        return Subject(person, self.crowd.head(person))

    def view(self, setting: Setting, rng: np.random.Generator, *, light: Light | None = None) -> View:
        """Random circumstances within a setting; `light` when several photographs share it."""
        drawn = draw_view(rng, self.plan.distance_mm, chances=setting.chances, face_fraction=setting.face_fraction)
        angles = [
            rng.normal(0, setting.pitch_degrees),
            rng.uniform(-setting.yaw_degrees, setting.yaw_degrees),
            rng.normal(0, setting.roll_degrees),
        ]
        sensor = Sensor(
            setting.blur_px, setting.resolution, setting.noise, drawn.sensor.jpeg_quality, drawn.sensor.seed
        )
        return drawn._replace(
            euler_angles=np.radians(angles).astype(np.float32),
            light=light or setting_light(setting, rng),
            sensor=sensor,
        )

    def take(self, subject: Subject, vertices: NDArray[np.float64], view: View) -> Photograph:
        """A photograph of a subject, whose face is at `vertices` of the crowd's mesh."""
        face = self.crowd.face(subject.person, vertices)
        return photograph(face, subject.head, view, size=self.plan.params.size)


def setting_light(setting: Setting, rng: np.random.Generator) -> Light:
    """Random light of a setting."""
    light = draw_light(rng, kind=setting.light_kind)
    return light._replace(sh_coefficients=light.sh_coefficients * np.float32(setting.brightness))


def save_photograph(path: Path, taken: Photograph, view: View) -> None:
    """Write a photograph as a JPEG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(taken.picture, view.sensor.jpeg_quality))


Job = Callable[[Studio, int], float]


def run_jobs(job: Job, plan: TwinPlan, count: int, *, workers: int, name: str) -> list[float]:
    """Results of `job` for each number below `count`, in order; the result does not depend on the number of workers.

    `job` is a function of a module, so that other processes can import it.
    """
    results = ordered_map(_Work(job, plan), range(count), workers=workers)
    return list(tqdm(results, total=count, desc=name, unit="subject"))


@dataclass(frozen=True)
class _Work:
    """A job with its plan; each process builds its studio once."""

    job: Job
    plan: TwinPlan

    def __call__(self, number: int) -> float:
        return self.job(_studio(self.plan), number)


@lru_cache(maxsize=1)
def _studio(plan: TwinPlan) -> Studio:
    return Studio(plan, load_face_model(plan.face_model))
