"""Random light: spherical harmonics of lamps and sky for the diffuse part, point lights for the highlights."""

from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from models.light import sh_basis
from pipelines.synthetic.meshes import Array

LightKind = Literal["ambient", "directional", "coloured", "mixed"]
LIGHT_KINDS: tuple[LightKind, ...] = get_args(LightKind)

# A cosine lobe, clamped below the horizon, in the three bands of the harmonics (Ramamoorthi and Hanrahan 2001).
_LOBE = np.repeat([np.pi, 2 * np.pi / 3, np.pi / 4], [1, 3, 5])
_CONSTANT = 0.5 / np.sqrt(np.pi)  # the harmonic of band 0
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])

# Share of the light that comes from everywhere, and how much the lamps' colours differ.
_AMBIENT = {"ambient": (0.75, 0.95), "directional": (0.2, 0.4), "coloured": (0.2, 0.5), "mixed": (0.35, 0.75)}
_COLOURFULNESS = {"ambient": 0.05, "directional": 0.1, "coloured": 0.3, "mixed": 0.15}


class Light(NamedTuple):
    """The light of one photograph, in the camera frame."""

    kind: LightKind
    sh_coefficients: Array  # (9, 3) linear RGB
    positions: Array  # (L, 3) mm, of the point lights that cause highlights, the strongest first
    strengths: Array  # (L,) of their highlights; the first is 1, as in Eq. 5; 0 where there are fewer lamps
    shininess: float


def draw_light(generator: np.random.Generator, *, kind: LightKind | None = None, lights: int = 1) -> Light:
    """Random light, so bright that a face towards the camera gets about 1; the strongest lamps are also point lights.

    `lights` says how many lamps cause highlights; the paper's model has one.
    """
    kind = kind or LIGHT_KINDS[generator.integers(len(LIGHT_KINDS))]
    lamps = 1 if kind == "directional" else int(generator.integers(1, 4))
    directions = [_lamp_direction(generator) for _ in range(lamps)]
    strengths = np.sort(generator.dirichlet(np.arange(lamps, 0, -1) * 1.5))[::-1]
    ambient = generator.uniform(*_AMBIENT[kind])
    harmonics = np.zeros((9, 3))
    harmonics[0] = ambient * _colour(generator, 0.06) / _CONSTANT
    for direction, strength in zip(directions, strengths, strict=True):
        colour = _colour(generator, _COLOURFULNESS[kind])
        harmonics += 1.5 * (1 - ambient) * strength * _lobe(direction)[:, None] * colour
    harmonics *= generator.uniform(0.85, 1.2) / _brightness_of_a_face(harmonics)
    positions, relative = np.tile(directions[0], (lights, 1)), np.zeros(lights, np.float32)
    shown = min(lights, lamps)
    positions[:shown], relative[:shown] = directions[:shown], strengths[:shown] / strengths[0]
    positions *= generator.uniform(700, 2500, size=(lights, 1))
    shininess = float(generator.uniform(12, 45))
    return Light(kind, harmonics.astype(np.float32), positions.astype(np.float32), relative, shininess)


def _lamp_direction(generator: np.random.Generator) -> NDArray[np.floating]:
    """Mostly from above and from the camera's side."""
    direction = generator.normal(size=3) * [1.0, 0.55, 0.5] + [0.0, 0.5, 0.95]
    direction[2] = max(direction[2], -0.3)
    result: NDArray[np.floating] = direction / np.linalg.norm(direction)
    return result


def _colour(generator: np.random.Generator, spread: float) -> NDArray[np.floating]:
    """A linear RGB tint of luminance 1."""
    tint = 1 + generator.uniform(-spread, spread, 3)
    result: NDArray[np.floating] = tint / (tint @ _LUMINANCE)
    return result


def _lobe(direction: NDArray[np.floating]) -> NDArray[np.floating]:
    """Harmonics (9,) of a lamp far away: about 1 for surfaces that face it."""
    functions: NDArray[np.floating] = _LOBE * sh_basis(torch.from_numpy(direction)).numpy()
    return functions


def _brightness_of_a_face(harmonics: NDArray[np.floating]) -> float:
    """Mean luminance on surfaces that look towards the camera and 45 degrees off it."""
    towards = np.array([[0, 0, 1.0], [0.7, 0, 0.7], [-0.7, 0, 0.7], [0, 0.7, 0.7], [0, -0.7, 0.7]])
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    irradiance = sh_basis(torch.from_numpy(towards)).numpy() @ harmonics
    return float((irradiance.clip(0) @ _LUMINANCE).mean())
