"""Everything about one photograph that is not the person: pose, light, camera, things worn and in the way."""

import math
from typing import NamedTuple

import numpy as np

from models.camera import Camera
from pipelines.synthetic.accessories import Accessories, draw_accessories
from pipelines.synthetic.camera_noise import Sensor, draw_sensor
from pipelines.synthetic.light import Light, LightKind, draw_light
from pipelines.synthetic.meshes import Array
from pipelines.synthetic.occluders import Occluder, draw_occluder

_YAW_LIMIT, _PITCH_DEVIATION, _ROLL_DEVIATION = (math.radians(degrees) for degrees in (40.0, 7.5, 6.0))
_FACE_HEIGHT_MM = 188.0  # chin to hairline of the average face


class Chances(NamedTuple):
    """How often something covers a part of the face."""

    glasses: float
    hat: float
    occluder: float


NOTHING_WORN = Chances(0.0, 0.0, 0.0)


class View(NamedTuple):
    """One photograph's circumstances; use `_replace` to fix some of them."""

    camera: Camera
    shift: tuple[float, float]  # of the face from the picture's middle, x right, y down, in picture sizes
    euler_angles: Array  # (3,) pitch, yaw, roll; radians
    light: Light
    accessories: Accessories
    occluder: Occluder
    sensor: Sensor
    background_seed: int


def draw_view(
    generator: np.random.Generator,
    distance_mm: float,
    *,
    chances: Chances,
    light_kind: LightKind | None = None,
    lights: int = 1,
    face_fraction: tuple[float, float] = (0.45, 0.72),
) -> View:
    """Random circumstances; the camera stands at 0.8 to 1.4 times `distance_mm`.

    `lights` is the number of specular lights, `draw_light` explains it.
    `face_fraction` bounds the part of the picture's height that an average face, chin to hairline, takes.
    """
    distance = distance_mm * generator.uniform(0.8, 1.4)
    picture_mm = _FACE_HEIGHT_MM / generator.uniform(*face_fraction)
    return View(
        camera=Camera(2 * math.atan(picture_mm / 2 / distance), distance),
        shift=(float(generator.normal(0, 0.03)), float(generator.normal(0.0, 0.03))),
        euler_angles=draw_pose(generator),
        light=draw_light(generator, kind=light_kind, lights=lights),
        accessories=draw_accessories(generator, glasses_fraction=chances.glasses, hat_fraction=chances.hat),
        occluder=draw_occluder(generator, fraction=chances.occluder),
        sensor=draw_sensor(generator),
        background_seed=int(generator.integers(2**31)),
    )


def draw_pose(generator: np.random.Generator) -> Array:
    """Random pitch, yaw and roll in radians: yaw uniform within 40 degrees, the others normal."""
    pitch, roll = generator.normal(0, _PITCH_DEVIATION), generator.normal(0, _ROLL_DEVIATION)
    return np.array([pitch, generator.uniform(-_YAW_LIMIT, _YAW_LIMIT), roll], np.float32)
