"""A sheet that shows what a face model can express: identities, expressions, skins."""

from pathlib import Path

import numpy as np
import torch

from models.coefficients import Coefficients
from pipelines.reporting.artist import Artist, Picture, neutral_coefficients
from pipelines.reporting.sheet import Cell, save_sheet

_COLUMNS = 8
_DEVIATIONS = 3.0
_TURNED = 0.6  # radians, the third view of the mean face


def face_model_figure(path: Path, artist: Artist) -> None:
    """Mean face; the first identity modes at minus and plus three standard deviations; expressions; skins."""
    model = artist.model
    rows = [_mean_row(artist), _identity_row(artist), _expression_row(artist), _skin_row(artist)]
    labels = ["mean", f"identity ±{_DEVIATIONS:g}σ", "expressions", "skins"]
    blank: list[Cell] = [""] * _COLUMNS
    filled = [(row + blank)[:_COLUMNS] for row in rows]
    titles = [""] * _COLUMNS
    counts = f"{model.shape_size} identity, {model.expression_size} expression, {model.albedo_size} albedo modes"
    note = f"{model.arrays.source}: {len(model.mean_shape)} vertices, {len(model.triangles)} triangles, {counts}"
    save_sheet(path, filled, columns=titles, labels=labels, note=note)


def _mean_row(artist: Artist) -> list[Cell]:
    neutral = neutral_coefficients(artist.model)
    turned = neutral._replace(euler_angles=torch.tensor([[0.0, _TURNED, 0.0]]))
    drawn, drawn_turned = artist.draw(neutral), artist.draw(turned)
    assert drawn is not None and drawn_turned is not None
    pictures = [drawn.full, drawn_turned.full, drawn.diffuse, drawn.specular]
    return [*pictures, artist.clay(neutral), artist.clay(turned), artist.light_on_sphere(neutral)]


def _identity_row(artist: Artist) -> list[Cell]:
    neutral = neutral_coefficients(artist.model)
    signed_modes = [(mode, sign) for mode in range(min(artist.model.shape_size, 4)) for sign in (-1, 1)]
    pictures: list[Cell] = []
    for mode, sign in signed_modes[:_COLUMNS]:
        shape = neutral.shape.clone()
        shape[0, mode] = sign * _DEVIATIONS
        pictures.append(artist.clay(neutral._replace(shape=shape)))
    return pictures


def _expression_row(artist: Artist) -> list[Cell]:
    """Named facial actions spread over the list, where the face model knows some; otherwise its first modes."""
    neutral = neutral_coefficients(artist.model)
    actions = artist.model.arrays.sampling.action_coefficients
    if len(actions) == 0:
        actions = _DEVIATIONS * np.eye(artist.model.expression_size, dtype=np.float32)
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


def _full(artist: Artist, coefficients: Coefficients) -> Picture | None:
    drawn = artist.draw(coefficients)
    return None if drawn is None else drawn.full


def _spread(count: int) -> list[int]:
    """Indices of at most one row of items, evenly spread over `count`."""
    return [round(index) for index in np.linspace(0, count - 1, min(count, _COLUMNS))]
