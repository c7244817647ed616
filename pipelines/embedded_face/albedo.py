"""Diffuse and specular albedo: physical draws painted on the mean face, and the shared modes that are taken from them.

Both albedos are linear RGB per vertex; the specular one is grey.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.embedded_face.geometry import Scalars, ridge, smoothstep
from pipelines.embedded_face.people import Person, draw_person
from pipelines.embedded_face.regions import SoftRegions
from pipelines.embedded_face.skin import Colours, skin_rgb
from pipelines.embedded_face.smooth_fields import ScalarBasis, Scale, scalar_basis
from pipelines.embedded_face.template import Part, Template

_DARKEST_DIFFUSE, _BRIGHTEST_DIFFUSE, _BRIGHTEST_SPECULAR = 0.003, 0.95, 0.8
_IRIS_RADIUS_MM, _PUPIL_RADIUS_MM = (5.3, 6.1), (1.9, 2.5)  # inner and outer end of the soft edge
_CAVITY_RGB, _LASH_VALUE = (0.03, 0.006, 0.006), 0.012
_LOWER_TEETH = 0.77  # of the brightness of the upper ones, whose shadow they lie in
_SPECULAR_EYE, _SPECULAR_CAVITY, _SPECULAR_TEETH = 0.40, 0.05, 0.15


class AlbedoModes(NamedTuple):
    """Mean and modes of both albedos, one standard deviation long, and the coefficients of the drawn people."""

    mean_diffuse: NDArray[np.float32]  # (V, 3)
    diffuse: NDArray[np.float32]  # (count, V, 3)
    mean_specular: NDArray[np.float32]  # (V, 3)
    specular: NDArray[np.float32]  # (count, V, 3)
    coefficients: NDArray[np.float32]  # (people, count)
    hair_rgb: NDArray[np.float32]  # (people, 3)


def albedo_modes(
    template: Template,
    regions: SoftRegions,
    occlusion: Scalars,
    count: int,
    people: int,
    seed: int,
) -> AlbedoModes:
    """Draw `people` with skin tones spread evenly, and take `count` principal components of both albedos together."""
    generator = np.random.default_rng(seed)
    painter = _Painter(template, regions)
    darkness = generator.permutation((np.arange(people) + generator.uniform(size=people)) / people)
    samples = np.empty((people, len(occlusion), 4), np.float32)
    hair = np.empty((people, 3), np.float32)
    for index, tone in enumerate(darkness):
        person = draw_person(float(tone), generator)
        noise = painter.draw_noise(generator)
        samples[index, :, :3] = painter.diffuse(person, noise)
        samples[index, :, 3] = painter.specular(person, noise)
        hair[index] = person.hair
    samples *= occlusion.astype(np.float32)[:, None]
    return _principal_components(samples, hair, count)


def _principal_components(samples: NDArray[np.float32], hair: NDArray[np.float32], count: int) -> AlbedoModes:
    people, vertices, _ = samples.shape
    mean = samples.mean(axis=0)
    centred = (samples - mean).reshape(people, -1)
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64) / people)
    scores = vectors[:, np.argsort(-values, kind="stable")[:count]].T.astype(np.float32)  # (count, people)
    modes = scores @ centred / np.float32(np.sqrt(people))
    sign = np.sign(modes[np.arange(count), np.abs(modes).argmax(axis=1)])[:, None]
    modes = (sign * modes).reshape(count, vertices, 4)
    return AlbedoModes(
        mean_diffuse=mean[:, :3],
        diffuse=modes[:, :, :3],
        mean_specular=np.repeat(mean[:, 3:], 3, axis=1),
        specular=np.repeat(modes[:, :, 3:], 3, axis=2),
        coefficients=(sign * scores).T * np.float32(np.sqrt(people)),
        hair_rgb=hair,
    )


class _Noise(NamedTuple):
    """Smooth random fields of one person, standard deviation about 1."""

    melanin: Scalars
    blood: Scalars
    brows: Scalars
    beard: Scalars
    shine: Scalars


class _Painter:
    """Paints people on the mean face."""

    def __init__(self, template: Template, regions: SoftRegions) -> None:
        self._template, self._regions = template, regions
        vertices = template.vertices
        self._coarse = scalar_basis(vertices, [Scale(45.0, 1.0)], count=40, landmarks=250)
        self._fine = scalar_basis(vertices, [Scale(9.0, 0.7), Scale(5.0, 0.5)], count=260, landmarks=700)

    def draw_noise(self, generator: np.random.Generator) -> _Noise:
        """Fields of a new person."""
        coarse = _draw_fields(self._coarse, generator, count=3)
        fine = _draw_fields(self._fine, generator, count=5)
        return _Noise(
            melanin=0.10 * coarse[0] + 0.07 * fine[0],
            blood=0.20 * coarse[1] + 0.16 * fine[1],
            brows=fine[2],
            beard=fine[3],
            shine=0.22 * coarse[2] + 0.20 * fine[4],
        )

    def diffuse(self, person: Person, noise: _Noise) -> Colours:
        """Linear RGB (V, 3)."""
        colours = self._skin(person, noise)
        colours = self._with_lips(colours, person)
        colours = self._with_hair(colours, person, noise)
        colours *= (1 - 0.10 * self._regions.lid_crease)[:, None] * self._nostril_shadow(0.8)
        eyeball = self._template.is_part(Part.EYEBALL)
        colours[eyeball] = self._eyes(person)[eyeball]
        return np.clip(self._with_mouth(colours, person), _DARKEST_DIFFUSE, _BRIGHTEST_DIFFUSE)

    def specular(self, person: Person, noise: _Noise) -> Scalars:
        """Grey value (V,): more on forehead, nose and lips, less under hair."""
        r = self._regions
        base = 0.10 + 0.06 * r.forehead + 0.11 * r.nose_tip + 0.05 * (r.nose + r.cheeks) + 0.06 * r.chin
        base = base + 0.13 * r.lips + 0.04 * r.lids
        hairless = 1 - 0.65 * np.clip(r.brows + r.beard * person.beard, 0, 1)
        result = base * np.exp(noise.shine) * person.shine * hairless
        result[self._template.is_part(Part.EYEBALL)] = _SPECULAR_EYE
        result[self._template.is_part(Part.CAVITY)] = _SPECULAR_CAVITY
        result[self._template.is_part(Part.UPPER_TEETH, Part.LOWER_TEETH)] = _SPECULAR_TEETH
        return np.clip(result * self._nostril_shadow(0.9)[:, 0], 0, _BRIGHTEST_SPECULAR)

    def _skin(self, person: Person, noise: _Noise) -> Colours:
        r = self._regions
        log_melanin = np.log(person.melanin) + noise.melanin + 0.16 * person.eye_shadows * r.under_eyes
        log_melanin += 0.05 * r.lids + 0.10 * person.forehead_melanin * r.forehead - 0.05 * r.nose
        blood = person.blood * np.exp(noise.blood) + 0.0045 * person.cheek_redness * r.cheeks
        blood += 0.005 * person.nose_redness * r.nose_tip + 0.002 * (r.chin + r.lids) + 0.0022 * r.under_eyes
        return skin_rgb(np.exp(log_melanin), np.clip(blood, 0.0006, 0.049))

    def _with_lips(self, colours: Colours, person: Person) -> Colours:
        tint = np.array([0.98, 0.80, 0.82]) * (1 - 0.10 * (1 - person.darkness))
        lips = skin_rgb(person.lip_melanin, person.lip_blood) * tint
        if person.lipstick is not None:
            lips = 0.3 * lips + 0.7 * person.lipstick
        result = _mixed(colours, lips, 0.85 * self._regions.lips)
        return result * (1 - 0.45 * self._regions.lip_line * self._regions.lips)[:, None]

    def _with_hair(self, colours: Colours, person: Person, noise: _Noise) -> Colours:
        r = self._regions
        brows = np.clip(r.brows * person.brow_strength * np.clip(1 + 0.25 * noise.brows, 0.5, 1.4), 0, 0.96)
        beard = np.clip(r.beard * person.beard * np.clip(1 + 0.15 * noise.beard, 0.6, 1.3), 0, 0.93)
        lashes = np.clip((r.upper_lashes + 0.5 * r.lower_lashes) * person.lashes, 0, 0.95)
        colours = _mixed(colours, _no_brighter(person.hair, 0.12), brows)
        colours = _mixed(colours, _no_brighter(person.hair, 0.10), beard)
        return _mixed(colours, np.full(3, _LASH_VALUE), lashes)

    def _eyes(self, person: Person) -> Colours:
        distance = self._regions.iris_distance
        tissue = 0.45 * self._regions.inner_canthus
        limbus = 1 - 0.6 * ridge(distance - 5.5, 0.6)
        colours = _mixed(np.tile(person.sclera, (len(distance), 1)), np.array([0.45, 0.16, 0.14]), tissue)
        iris = 1 - smoothstep(distance, *_IRIS_RADIUS_MM)
        colours = colours * (1 - iris)[:, None] + person.iris * (limbus * iris)[:, None]
        colours = _mixed(colours, np.full(3, 0.004), 1 - smoothstep(distance, *_PUPIL_RADIUS_MM))
        under_lid = smoothstep(self._template.vertices[:, 1], 1.0, 5.0)
        return colours * (1 - 0.45 * under_lid)[:, None]

    def _with_mouth(self, colours: Colours, person: Person) -> Colours:
        """Teeth grow dark towards the corner, where the cheek shades them."""
        lit = np.clip(1 - (np.abs(self._template.vertices[:, 0]) / 19.0) ** 4, 0.04, 1)[:, None]
        for part, brightness in ((Part.UPPER_TEETH, 1.0), (Part.LOWER_TEETH, _LOWER_TEETH)):
            teeth = self._template.is_part(part)
            colours[teeth] = (brightness * person.teeth * lit)[teeth]
        colours[self._template.is_part(Part.CAVITY)] = _CAVITY_RGB
        return colours

    def _nostril_shadow(self, depth: float) -> Colours:
        return (1 - depth * np.clip(1.2 * self._regions.nostrils, 0, 1))[:, None]


def _draw_fields(basis: ScalarBasis, generator: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Random fields (count, V), mostly symmetric."""
    even, odd = (generator.standard_normal((count, part.shape[1])) for part in basis)
    return np.asarray(even @ basis.even.T + 0.5 * odd @ basis.odd.T)


def _no_brighter(colour: Colours, limit: float) -> Colours:
    """The colour, darkened until its largest component is within the limit."""
    return np.asarray(colour * min(1.0, limit / colour.max()))


def _mixed(colours: Colours, paint: Colours, weight: Scalars) -> Colours:
    return np.asarray(colours * (1 - weight)[:, None] + paint * weight[:, None])
