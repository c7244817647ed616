"""How often MTCNN finds random people of a face model, and how well its five points agree with the model's.

    python -m benchmarks.detection --face-model data/face_model.h5 --people 100

Each person is rendered alone, without hair, before a plain background: 224 px, yaw within 40 degrees, a little pitch
and roll, random expression, skin and light. The goal is 98 in 100. Errors are in percent of the distance between the
eyes.
"""

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from models.camera import Camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.landmarks import five_points
from models.renderer import full_picture, landmark_pixels, pose_face, render
from pipelines.face_model_file import load_face_model
from pipelines.labelling.detection import Face, FaceDetector
from pipelines.synthetic.light import draw_light
from pipelines.synthetic.person import draw_expression, draw_person

SIZE, SUPERSAMPLING = 224, 2
CAMERA = Camera(math.radians(12.6), 1000.0)
YAW_DEGREES, PITCH_DEGREES, ROLL_DEGREES = 40.0, 7.0, 6.0  # yaw: largest, others: standard deviations
FACE_SCALE = (0.6, 0.95)
BACKGROUND = 0.55  # sRGB grey
LEAST_CONFIDENCE = 0.7


class Portrait(NamedTuple):
    """A rendered person and where the five points are."""

    picture: NDArray[np.uint8]  # (SIZE, SIZE, 3), RGB
    points: NDArray[np.float64]  # (5, 2), px
    eye_distance: float  # px, unforeshortened
    yaw_degrees: float


def main() -> None:
    """Print the share of people found and the error of the five points."""
    options = _options()
    model = load_face_model(options.face_model)
    portraits = [draw_portrait(model, np.random.default_rng([options.seed, i])) for i in range(options.people)]
    errors = measure(portraits)
    found = np.isfinite(errors)
    yaws = np.array([portrait.yaw_degrees for portrait in portraits])
    print(f"found {found.sum()} of {len(found)}; missed at yaw {np.round(yaws[~found]).astype(int).tolist()}")
    ranges = {"all": found, "|yaw| < 15": found & (abs(yaws) < 15), "|yaw| > 25": found & (abs(yaws) > 25)}
    for name, chosen in ranges.items():
        print(f"five points, {name}: mean {errors[chosen].mean():.1f} %, median {np.median(errors[chosen]):.1f} %")
    if options.sheet:
        _save_sheet(portraits, options.sheet)


def draw_portrait(model: FaceModel, generator: np.random.Generator) -> Portrait:
    """A random person in front of a plain background."""
    person, light = draw_person(model, generator), draw_light(generator)
    pitch, roll = generator.normal(0, [PITCH_DEGREES, ROLL_DEGREES])
    yaw, scale = generator.uniform(-YAW_DEGREES, YAW_DEGREES), generator.uniform(*FACE_SCALE)
    coefficients = Coefficients(
        shape=_batch(person.shape),
        expression=_batch(draw_expression(model, generator)),
        albedo=_batch(person.albedo),
        euler_angles=_batch(np.radians([pitch, yaw, roll])),
        translation=torch.zeros(1, 3),
        scale=torch.full((1, 1), scale),
        sh_coefficients=_batch(light.sh_coefficients),
        light_position=_batch(light.positions),
        light_strength=_batch(light.strengths),
        shininess=torch.full((1, 1), light.shininess),
    )
    with torch.no_grad():
        face = pose_face(model, coefficients, CAMERA)
        rendering = render(model, face, SIZE * SUPERSAMPLING)
        picture = torch.where(rendering.coverage > 0, full_picture(rendering), torch.tensor(BACKGROUND))
        picture = torch.nn.functional.avg_pool2d(picture, SUPERSAMPLING)[0].permute(1, 2, 0)
        points = five_points(landmark_pixels(model, face, SIZE))[0].double().numpy()
        in_space = five_points(model.landmarks(face.points))[0]
    pixels_per_mm = CAMERA.focal_length * SIZE / 2 / CAMERA.distance_mm
    return Portrait(
        picture=(255 * picture).round().to(torch.uint8).numpy(),
        points=points,
        eye_distance=float(torch.linalg.vector_norm(in_space[0] - in_space[1])) * pixels_per_mm,
        yaw_degrees=yaw,
    )


def measure(portraits: list[Portrait]) -> NDArray[np.float64]:
    """Mean error of the five points in percent of the eye distance; NaN where no detection covers the face."""
    detector = FaceDetector(minimum_face_fraction=0.15, batch_size=16, device="cpu")
    found = detector.detect([portrait.picture for portrait in portraits])
    return np.array([_error(portrait, faces) for portrait, faces in zip(portraits, found, strict=True)])


def _error(portrait: Portrait, faces: list[Face]) -> float:
    middle = portrait.points.mean(axis=0)
    for face in faces:
        left, top, right, bottom = face.box
        if face.confidence > LEAST_CONFIDENCE and left < middle[0] < right and top < middle[1] < bottom:
            distance = np.linalg.norm(face.points - portrait.points, axis=1)
            return float(100 * distance.mean() / portrait.eye_distance)
    return math.nan


def _batch(values: NDArray[np.floating]) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))[None]


def _save_sheet(portraits: list[Portrait], path: Path) -> None:
    rows = [np.concatenate([portrait.picture for portrait in portraits[i : i + 8]], axis=1) for i in range(0, 32, 8)]
    Image.fromarray(np.concatenate(rows)).save(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--face-model", type=Path, required=True)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="write the first 32 portraits into this PNG file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
