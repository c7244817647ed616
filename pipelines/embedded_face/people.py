"""What is drawn once for a person's colours: skin tone, blood, hair, irises, beard, make-up, shine."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.embedded_face.skin import melanin_of_typology_angle

# ITA in degrees that part very light, light, intermediate, tan, brown and dark skin, the classes of Chardon (1991) that
# stand for Fitzpatrick's six types; the outer ends are what the two pigments reach.
_TONE_LIMITS = (58.0, 55.0, 41.0, 28.0, 10.0, -30.0, -46.0)
_TYPICAL_BLOOD = 0.0055
_IRISES = {
    "brown": (0.055, 0.028, 0.014),
    "dark": (0.022, 0.013, 0.009),
    "hazel": (0.12, 0.085, 0.035),
    "green": (0.10, 0.12, 0.065),
    "blue": (0.11, 0.18, 0.26),
    "grey": (0.16, 0.18, 0.19),
}
_IRIS_SHARES_LIGHT = (0.38, 0.18, 0.12, 0.08, 0.16, 0.08)
_IRIS_SHARES_DARK = (0.45, 0.5, 0.05, 0.0, 0.0, 0.0)
_DARKEST_HAIR, _BLOND_HAIR = np.array([0.012, 0.009, 0.008]), np.array([0.32, 0.20, 0.10])
_TEETH = np.array([0.76, 0.72, 0.63])

Colour = NDArray[np.float64]  # (3,), linear RGB


@dataclass(frozen=True)
class Person:
    """Colours in linear RGB, strengths about 0..1."""

    darkness: float  # 0 the lightest, 1 the darkest skin
    melanin: float
    blood: float
    lip_melanin: float
    lip_blood: float
    lipstick: Colour | None
    hair: Colour
    brow_strength: float
    beard: float
    lashes: float
    iris: Colour
    sclera: Colour
    cheek_redness: float
    nose_redness: float
    eye_shadows: float
    forehead_melanin: float
    shine: float
    teeth: Colour  # of the upper ones


def draw_person(darkness: float, generator: np.random.Generator) -> Person:
    """A person of the given skin tone, everything else at random; each of the six types takes a sixth of `darkness`."""
    angle = float(np.interp(darkness, np.linspace(0, 1, len(_TONE_LIMITS)), _TONE_LIMITS))
    melanin = melanin_of_typology_angle(angle, _TYPICAL_BLOOD)
    lipstick = generator.uniform([0.25, 0.02, 0.03], [0.5, 0.09, 0.12]) if generator.random() < 0.18 else None
    return Person(
        darkness=darkness,
        melanin=melanin,
        blood=float(np.clip(generator.normal(_TYPICAL_BLOOD, 0.002), 0.002, 0.012)),
        lip_melanin=melanin * float(np.exp(generator.normal(-0.12, 0.22))),
        lip_blood=float(np.clip(generator.normal(0.030, 0.006), 0.014, 0.048)),
        lipstick=lipstick,
        hair=_draw_hair(darkness, generator),
        brow_strength=float(np.clip(generator.normal(0.80, 0.14), 0.3, 0.98)),
        beard=_draw_beard(generator),
        lashes=float(generator.uniform(0.65, 0.95)),
        iris=_draw_iris(darkness, generator),
        sclera=np.array([0.62, 0.58, 0.55]) * generator.uniform(0.85, 1.05),
        cheek_redness=float(generator.uniform(0.3, 1.6)),
        nose_redness=float(generator.uniform(0.3, 1.4)),
        eye_shadows=float(abs(generator.normal())),
        forehead_melanin=float(generator.normal()),
        shine=float(generator.lognormal(0, 0.28)),
        teeth=_TEETH * generator.uniform(0.7, 1.1) * [1, 1, generator.uniform(0.8, 1.05)],
    )


def _draw_hair(darkness: float, generator: np.random.Generator) -> Colour:
    if generator.random() < 0.12:
        return np.full(3, 0.22)  # grey
    pigment = float(np.clip(0.75 * generator.beta(1.5, 1.0) + 0.35 * darkness, 0, 1))
    return _BLOND_HAIR * (1 - pigment) ** 1.6 + _DARKEST_HAIR


def _draw_beard(generator: np.random.Generator) -> float:
    """None for half of the people, stubble for a third, a beard for the rest."""
    kind = generator.random()
    if kind < 0.33:
        return float(generator.uniform(0.05, 0.3))
    return float(generator.uniform(0.45, 0.9)) if kind < 0.48 else 0.0


def _draw_iris(darkness: float, generator: np.random.Generator) -> Colour:
    shares = _IRIS_SHARES_LIGHT if darkness < 0.45 else _IRIS_SHARES_DARK
    kind = list(_IRISES)[generator.choice(len(_IRISES), p=shares)]
    return np.array(_IRISES[kind]) * generator.uniform(0.7, 1.3)
