"""Synthetic photographs of people, each from its own generator: neither order nor the number of people matter."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.face_model import FaceModel
from pipelines.face_model_file import load_face_model
from pipelines.shards import encode_jpeg, encode_png
from pipelines.synthetic.face import FaceTopology, face_from_coefficients, face_topology
from pipelines.synthetic.head import Head, build_head
from pipelines.synthetic.meshes import Array
from pipelines.synthetic.person import Person, draw_expression, draw_person, skin_tone_ita
from pipelines.synthetic.photograph import Photograph, photograph
from pipelines.synthetic.view import Chances, View, draw_view

_PERSON, _PHOTOGRAPH = 0, 1  # second word of a generator's seed


class DataSetSize(NamedTuple):
    """What to generate."""

    photographs_per_person: int
    size: int  # px
    distance_mm: float  # of the camera, see view.draw_view
    chances: Chances
    specular_lights: int
    seed: int


class TakenPhotograph(NamedTuple):
    """One photograph as it is stored, with the row of its truth."""

    key: str
    person: int
    picture: bytes  # JPEG
    segments: bytes  # PNG
    truth: dict[str, object]


def generate(face_model: Path, size: DataSetSize, people: Iterable[int]) -> Iterator[TakenPhotograph]:
    """The photographs of some people, given by number, person by person."""
    model, topology = _loaded(face_model, face_model.stat().st_mtime_ns)
    for number in people:
        yield from _photographs_of_person(model, topology, size, number)


def head_of(model: FaceModel, topology: FaceTopology, person: Person) -> Head:
    """The head around a person's neutral face."""
    expression = np.zeros(model.expression_size, np.float32)
    neutral = face_from_coefficients(
        model, topology, shape=person.shape, expression=expression, diffuse=person.diffuse, specular=person.specular
    )
    return build_head(neutral, person.skin_rgb, person.hair)


def truth_row(key: str, person: Person, expression: Array, view: View, taken: Photograph) -> dict[str, object]:
    """Everything that is known about one synthetic photograph; frames and units as in `models`."""
    return {
        "key": key,
        "landmarks": taken.landmarks.ravel().tolist(),
        "landmarks_visible": taken.landmarks_visible.tolist(),
        "shape": person.shape.tolist(),
        "expression": expression.tolist(),
        "albedo": person.albedo.tolist(),
        "euler_angles": view.euler_angles.tolist(),
        "sh_coefficients": view.light.sh_coefficients.ravel().tolist(),
        "light_position": view.light.positions.ravel().tolist(),
        "light_strength": view.light.strengths.tolist(),
        "shininess": view.light.shininess,
        "skin_tone_ita": skin_tone_ita(person.skin_rgb),
        "mouth_open_px": taken.mouth_open_px,
    }


TRUTH_COLUMNS = (
    "key", "landmarks", "landmarks_visible", "shape", "expression", "albedo", "euler_angles", "sh_coefficients",
    "light_position", "light_strength", "shininess", "skin_tone_ita", "mouth_open_px",
)  # fmt: skip


@lru_cache(maxsize=1)
def _loaded(path: Path, changed_ns: int) -> tuple[FaceModel, FaceTopology]:
    """A process that lives longer than the file loads it again."""
    model = load_face_model(path)
    return model, face_topology(model)


def _photographs_of_person(
    model: FaceModel, topology: FaceTopology, size: DataSetSize, person_number: int
) -> Iterator[TakenPhotograph]:
    person = draw_person(model, np.random.default_rng([size.seed, _PERSON, person_number]))
    head = head_of(model, topology, person)
    for number in range(size.photographs_per_person):
        generator = np.random.default_rng([size.seed, _PHOTOGRAPH, person_number, number])
        expression = draw_expression(model, generator)
        view = draw_view(generator, size.distance_mm, chances=size.chances, lights=size.specular_lights)
        face = face_from_coefficients(
            model, topology, shape=person.shape, expression=expression, diffuse=person.diffuse, specular=person.specular
        )
        taken = photograph(face, head, view, size=size.size)
        key = f"{person_number:05d}-{number:03d}"
        picture = encode_jpeg(taken.picture, quality=view.sensor.jpeg_quality)
        truth = truth_row(key, person, expression, view, taken)
        yield TakenPhotograph(key, person_number, picture, encode_png(taken.segments), truth)
