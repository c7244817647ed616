"""A sheet that shows what a face model can express: identities, expressions, skins, people, light."""

from itertools import product
from pathlib import Path

import numpy as np
import torch

from models.coefficients import Coefficients
from models.face_model import FaceModel
from pipelines.reporting.artist import Artist, Picture, neutral_coefficients
from pipelines.reporting.sheet import Cell, save_sheet
from pipelines.synthetic.light import LIGHT_KINDS, Light, draw_light
from pipelines.synthetic.person import draw_expression, draw_person

COLUMNS = 8
DEVIATIONS = 3.0
_SEED = 3
_TURNED = 0.6  # radians, the third view of the mean face


def face_model_figure(path: Path, artist: Artist) -> None:
    """Mean face; first identity modes at ±3 standard deviations; expressions; skins; random people; kinds of light."""
    model = artist.model
    rows = [mean_row(artist), mode_row(artist, "shape"), _expression_row(artist), _skin_row(artist)]
    rows += [_people_row(artist), _light_row(artist)]
    save_rows(path, rows, ["mean", f"identity ±{DEVIATIONS:g}σ", "expressions", "skins", "people", "light"], model)


def save_rows(path: Path, rows: list[list[Cell]], labels: list[str], model: FaceModel) -> None:
    """Write rows of at most eight cells with a note on the size of the face model."""
    blank: list[Cell] = [""] * COLUMNS
    filled = [(row + blank)[:COLUMNS] for row in rows]
    counts = f"{model.shape_size} identity, {model.expression_size} expression, {model.albedo_size} albedo modes"
    note = f"{model.arrays.source}: {len(model.mean_shape)} vertices, {len(model.triangles)} triangles, {counts}"
    save_sheet(path, filled, columns=[""] * COLUMNS, labels=labels, note=note)


def mean_row(artist: Artist) -> list[Cell]:
    """The mean face from the front and turned, its diffuse and its specular picture, its shape, its light."""
    neutral = neutral_coefficients(artist.model)
    turned = neutral._replace(euler_angles=torch.tensor([[0.0, _TURNED, 0.0]]))
    drawn, drawn_turned = artist.draw(neutral), artist.draw(turned)
    assert drawn is not None and drawn_turned is not None
    pictures = [drawn.full, drawn_turned.full, drawn.diffuse, drawn.specular]
    return [*pictures, artist.clay(neutral), artist.clay(turned), artist.light_on_sphere(neutral)]


def mode_row(artist: Artist, group: str) -> list[Cell]:
    """The first modes of `shape`, `expression` or `albedo`, each at minus and at plus three standard deviations."""
    neutral = neutral_coefficients(artist.model)
    count = getattr(neutral, group).shape[1]
    draw = _full if group == "albedo" else Artist.clay
    pictures: list[Cell] = []
    for mode, sign in product(range(min(count, COLUMNS // 2)), (-1, 1)):
        changed = getattr(neutral, group).clone()
        changed[0, mode] = sign * DEVIATIONS
        pictures.append(draw(artist, neutral._replace(**{group: changed})))
    return pictures[:COLUMNS]


def _expression_row(artist: Artist) -> list[Cell]:
    """Named facial actions spread over the list, where the face model knows some; otherwise its first modes."""
    neutral = neutral_coefficients(artist.model)
    actions = artist.model.arrays.sampling.action_coefficients
    if len(actions) == 0:
        actions = DEVIATIONS * np.eye(artist.model.expression_size, dtype=np.float32)
    chosen = actions[_spread(len(actions))]
    return [artist.clay(neutral._replace(expression=torch.from_numpy(one)[None])) for one in chosen]


def _skin_row(artist: Artist) -> list[Cell]:
    """Skins from light to dark, where the face model knows plausible ones."""
    bank = artist.model.arrays.sampling.albedo_bank
    if len(bank) == 0:
        return []
    brightness = artist.model.albedos(torch.from_numpy(bank)).diffuse.mean(dim=(1, 2))
    ordered = bank[torch.argsort(brightness, descending=True, stable=True).numpy()]
    neutral = neutral_coefficients(artist.model)
    return [_full(artist, neutral._replace(albedo=torch.from_numpy(ordered[i])[None])) for i in _spread(len(ordered))]


def _people_row(artist: Artist) -> list[Cell]:
    """Random people as the synthetic photographs show them, without hair: turned, with expressions, in random light."""
    generator = np.random.default_rng(_SEED)
    people: list[Cell] = []
    for _ in range(COLUMNS):
        person = draw_person(artist.model, generator)
        coefficients = neutral_coefficients(artist.model)._replace(
            shape=torch.from_numpy(person.shape)[None],
            albedo=torch.from_numpy(person.albedo)[None],
            expression=torch.from_numpy(draw_expression(artist.model, generator))[None],
            euler_angles=torch.tensor([[0.0, generator.uniform(-_TURNED, _TURNED), 0.0]]),
        )
        people.append(_full(artist, _lit(coefficients, draw_light(generator))))
    return people


def _light_row(artist: Artist) -> list[Cell]:
    """The mean face in two lights of each kind."""
    generator, neutral = np.random.default_rng(_SEED), neutral_coefficients(artist.model)
    kinds = [kind for kind in LIGHT_KINDS for _ in range(2)]
    return [_full(artist, _lit(neutral, draw_light(generator, kind=kind))) for kind in kinds[:COLUMNS]]


def _lit(coefficients: Coefficients, light: Light) -> Coefficients:
    return coefficients._replace(
        sh_coefficients=torch.from_numpy(light.sh_coefficients)[None],
        light_position=torch.from_numpy(light.positions)[None],
        light_strength=torch.from_numpy(light.strengths)[None],
        shininess=torch.tensor([[light.shininess]]),
    )


def _full(artist: Artist, coefficients: Coefficients) -> Picture | None:
    drawn = artist.draw(coefficients)
    return None if drawn is None else drawn.full


def _spread(count: int) -> list[int]:
    """Indices of at most one row of items, evenly spread over `count`."""
    return [round(index) for index in np.linspace(0, count - 1, min(count, COLUMNS))]
