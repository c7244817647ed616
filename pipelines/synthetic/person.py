"""People: shape, skin and hair that stay the same over all photographs of a person, and expressions that do not."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.face_model import FaceModel
from models.segments import SEGMENT_INDEX
from pipelines.synthetic.hair import HairStyle, draw_hair_style

Array = NDArray[np.float32]

_ALBEDO_JITTER = 0.1  # standard deviations around a plausible skin of the bank
_SHAPE_LIMIT = 2.5  # standard deviations; beyond, heads look ill
_FREE_EXPRESSION = 0.7  # standard deviation of the coefficients where no actions are known

# Mixes of facial actions (0 to 1) that people show before a camera. A name stands for itself or for its `_L` and `_R`.
_EXPRESSIONS: tuple[dict[str, float], ...] = (
    {},
    {"mouthSmile": 1.0, "cheekSquint": 0.5, "eyeSquint": 0.4},
    {"mouthSmile": 1.0, "mouthUpperUp": 0.4, "mouthLowerDown": 0.4, "cheekSquint": 0.4},
    {"mouthSmile": 1.15, "jawOpen": 0.12, "mouthUpperUp": 0.7, "mouthLowerDown": 0.6, "cheekSquint": 0.5},
    {"mouthSmile": 1.1, "mouthStretch": 0.3, "mouthUpperUp": 0.7, "mouthLowerDown": 0.6, "eyeSquint": 0.3},
    {"mouthSmile": 1.0, "jawOpen": 0.4, "mouthUpperUp": 0.6, "mouthLowerDown": 0.5, "cheekSquint": 0.5},
    {"jawOpen": 0.7},
    {"mouthFrown": 0.8, "browDown": 0.7},
    {"browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.7},
    {"mouthPucker": 0.8},
    {"mouthFunnel": 0.7, "jawOpen": 0.2},
    {"eyeBlink": 0.9},
    {"mouthStretch": 0.8, "mouthLowerDown": 0.6, "jawOpen": 0.2},
    {"noseSneer": 0.8, "mouthUpperUp": 0.6, "browDown": 0.6},
    {"mouthPress": 0.8, "mouthDimple": 0.5},
)
_SIDEWAYS = ("jawLeft", "mouthLeft")  # either sign, seldom large
_SIDEWAYS_DEVIATION = 0.12
_UNREST = 0.06  # standard deviation of what the other actions do by themselves
_STILL = ("jawForward", "cheekPuff")

# Linear sRGB to CIE XYZ relative to the D65 white.
_XYZ_FROM_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _XYZ_FROM_RGB.sum(axis=1)


class Person(NamedTuple):
    """Who is photographed."""

    shape: Array  # (I,)
    albedo: Array  # (A,)
    diffuse: Array  # (V, 3) linear RGB
    specular: Array  # (V, 3) linear RGB
    skin_rgb: Array  # (3,) linear RGB of the skin at large; ears and neck have it
    hair: HairStyle


def draw_person(model: FaceModel, generator: np.random.Generator) -> Person:
    """A random person: normal identity coefficients, a skin from the model's bank, slightly varied, and hair to it."""
    shape = generator.standard_normal(model.shape_size).clip(-_SHAPE_LIMIT, _SHAPE_LIMIT).astype(np.float32)
    albedo, hair_rgb = _draw_albedo(model, generator)
    with torch.no_grad():
        diffuse, specular = (part[0].numpy() for part in model.albedos(torch.from_numpy(albedo)[None]))
    skin_rgb = skin_colour(diffuse, model.arrays.regions)
    return Person(shape, albedo, diffuse, specular, skin_rgb, draw_hair_style(hair_rgb, generator))


def _draw_albedo(model: FaceModel, generator: np.random.Generator) -> tuple[Array, Array]:
    """Albedo coefficients and a linear hair colour; standard normal ones where the face model has no bank."""
    sampling = model.arrays.sampling
    jitter = generator.standard_normal(model.albedo_size)
    if len(sampling.albedo_bank) == 0:
        return jitter.astype(np.float32), generator.uniform(0.01, 0.15) * np.array([1, 0.7, 0.5], np.float32)
    choice = generator.integers(len(sampling.albedo_bank))
    return (sampling.albedo_bank[choice] + _ALBEDO_JITTER * jitter).astype(np.float32), sampling.hair_rgb[choice]


def draw_expression(model: FaceModel, generator: np.random.Generator) -> Array:
    """Expression coefficients of one or two everyday expressions; normal ones for models without named actions."""
    names = model.arrays.sampling.action_names
    if not names:
        return (generator.standard_normal(model.expression_size) * _FREE_EXPRESSION).astype(np.float32)
    activations = dict.fromkeys(names, 0.0)
    for _ in range(generator.integers(1, 3)):
        mix, strength = _EXPRESSIONS[generator.integers(len(_EXPRESSIONS))], generator.uniform(0.2, 1.05)
        for action, amount in mix.items():
            for name in (name for name in names if _without_side(name) == action):
                activations[name] = max(activations[name], amount * strength * generator.uniform(0.8, 1.2))
    for name in names:
        unrest = generator.standard_normal()
        if name in _SIDEWAYS:
            activations[name] = _SIDEWAYS_DEVIATION * unrest
        elif _without_side(name) not in _STILL:
            activations[name] += max(0.0, _UNREST * unrest)
    return expression_from_actions(model, activations)


def expression_from_actions(model: FaceModel, activations: dict[str, float]) -> Array:
    """Expression coefficients of named facial actions, 0 to 1 each; a name without side acts on both.

    Raises ValueError for an action that the face model does not know.
    """
    sampling = model.arrays.sampling
    amounts = np.zeros(len(sampling.action_names), np.float32)
    for action, amount in activations.items():
        matching = [i for i, name in enumerate(sampling.action_names) if action in (name, _without_side(name))]
        if not matching:
            raise ValueError(f"facial action {action!r}: expected one of {', '.join(sampling.action_names) or 'none'}")
        amounts[matching] = amount
    if len(amounts) == 0:
        return np.zeros(model.expression_size, np.float32)
    return amounts @ sampling.action_coefficients


def _without_side(name: str) -> str:
    return name.removesuffix("_L").removesuffix("_R")


def skin_colour(diffuse: Array, regions: NDArray[np.uint8]) -> Array:
    """Median diffuse albedo (3,) of the skin region, linear RGB; the median leaves out beards."""
    skin = regions == SEGMENT_INDEX["skin"]
    colour: Array = np.median(diffuse[skin] if skin.any() else diffuse, axis=0).clip(0.004, 1).astype(np.float32)
    return colour


def skin_tone_ita(skin_rgb: Array) -> float:
    """Individual typology angle of a linear RGB skin colour, degrees: above 55 very light, below -30 dark."""
    ratio = _XYZ_FROM_RGB @ skin_rgb.astype(np.float64) / _WHITE
    _, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    lightness, yellowness = 116 * y - 16, 200 * (y - z)
    return float(np.degrees(np.arctan2(lightness - 50, yellowness)))
