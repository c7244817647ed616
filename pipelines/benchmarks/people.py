"""People for the benchmark twins: faces with geometry and albedo that the face model cannot express.

A model that merely inverts its own generator must not score perfectly, so every person is a draw from the face model on
a finer mesh plus bumps and creases along the normals, and moles and blotches in the albedo.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.face_model import FaceModel
from models.landmarks import LANDMARKS
from models.segments import SEGMENT_INDEX
from models.surface import mesh_normals
from pipelines.synthetic.face import Face, FaceTopology, face_of, face_topology
from pipelines.synthetic.hair import HairStyle, draw_hair_style
from pipelines.synthetic.head import Head, build_head
from pipelines.synthetic.meshes import outer_boundary
from pipelines.synthetic.person import expression_from_actions, skin_colour, skin_tone_ita

Array = NDArray[np.float64]

# How much of the detail a region shows; the lips less, so that they do not cut into each other.
_DETAIL_OF_REGION = {"skin": 1.0, "nose": 1.0, "brows": 1.0, "lips": 0.4}
_WAVELENGTHS_MM = (6.0, 26.0)
_WAVES = 48
_ROUGHNESS = 1.5  # exponent of a wave's height over its length
_BUMP_RADII_MM = (7.0, 16.0)


class TwinPerson(NamedTuple):
    """One person on the refined mesh."""

    shape: NDArray[np.float32]  # identity coefficients of the part inside the face model
    displacement_mm: Array  # (V',) along the normals: the part outside
    diffuse: NDArray[np.float32]  # (V', 3) linear RGB
    specular: NDArray[np.float32]
    skin_rgb: NDArray[np.float32]  # (3,) linear RGB of the skin at large
    hair: HairStyle

    @property
    def skin_tone_ita(self) -> float:
        """Individual typology angle of the skin, degrees."""
        return skin_tone_ita(self.skin_rgb)


class Crowd:
    """Draws people on the face model's mesh with every triangle split in four.

    The face model's own vertices come first, so its landmark vertices stay valid.
    """

    def __init__(self, model: FaceModel, *, detail_mm: float) -> None:
        self.model, self.arrays, self.detail_mm = model, model.arrays, detail_mm
        self.parents, self.triangles = refined(self.arrays.triangles, len(self.arrays.mean_shape))
        weights = np.zeros(len(self.arrays.mean_shape))
        for name, weight in _DETAIL_OF_REGION.items():
            weights[self.arrays.regions == SEGMENT_INDEX[name]] = weight
        self._detail_weight = self.on_refined(weights)
        self._mean = self.on_refined(self.arrays.mean_shape.astype(np.float64))
        self._topology = self._refined_topology()

    def on_refined(self, values: NDArray[np.floating]) -> Array:
        """Values per vertex of the face model carried to the refined mesh."""
        return np.asarray(values[self.parents].mean(axis=1), np.float64)

    def person(self, rng: np.random.Generator) -> TwinPerson:
        """Draw one person."""
        arrays = self.arrays
        shape = rng.normal(size=self.model.shape_size).astype(np.float32)
        albedo, hair_rgb = self._skin(rng)
        diffuse = arrays.mean_diffuse + np.tensordot(albedo, arrays.diffuse_basis, 1)
        specular = arrays.mean_specular + np.tensordot(albedo, arrays.specular_basis, 1)
        return TwinPerson(
            shape=shape,
            displacement_mm=self._displacement(rng),
            diffuse=np.clip(self.on_refined(diffuse) * self._spots(rng)[:, None], 0.003, 1).astype(np.float32),
            specular=np.clip(self.on_refined(specular), 0, 1).astype(np.float32),
            skin_rgb=skin_colour(diffuse, arrays.regions),
            hair=draw_hair_style(hair_rgb, rng),
        )

    def vertices(self, person: TwinPerson, activations: Mapping[str, float]) -> Array:
        """Vertices of the refined mesh, mm, for a facial expression given as activations of named actions.

        Actions that the face model does not know have no effect.
        """
        arrays = self.arrays
        known = {action: value for action, value in activations.items() if self._knows(action)}
        expression = expression_from_actions(self.model, known)
        coarse = arrays.mean_shape + np.tensordot(person.shape, arrays.shape_basis, 1)
        vertices = self.on_refined(coarse + np.tensordot(expression, arrays.expression_basis, 1))
        return vertices + mesh_normals(vertices, self.triangles) * person.displacement_mm[:, None]

    def face(self, person: TwinPerson, vertices: Array) -> Face:
        """The face as the synthetic camera takes it."""
        return face_of(self._topology, vertices.astype(np.float32), diffuse=person.diffuse, specular=person.specular)

    def head(self, person: TwinPerson) -> Head:
        """Head, hair and shoulders around the neutral face."""
        return build_head(self.face(person, self.vertices(person, {})), person.skin_rgb, person.hair)

    @property
    def visible_triangles(self) -> NDArray[np.int64]:
        """Triangles that a scanner sees: not the inside of the mouth."""
        inside = self.on_refined(self.arrays.regions == SEGMENT_INDEX["inner_mouth"]) > 0
        return self.triangles[~inside[self.triangles].any(axis=1)]

    def _refined_topology(self) -> FaceTopology:
        coarse = face_topology(self.model)
        own, vertex_count = len(self.arrays.triangles), len(self.arrays.mean_shape)
        patch = coarse.triangles[own:] + len(self.parents) - vertex_count  # of dark copies, behind all vertices
        return FaceTopology(
            triangles=np.concatenate([self.triangles, patch]).astype(np.int32),
            segments=np.concatenate([np.tile(coarse.segments[:own], 4), coarse.segments[own:]]),
            boundary=outer_boundary(self._mean, self.triangles.astype(np.int32)),
            landmark_vertices=coarse.landmark_vertices,
            dark_vertices=coarse.dark_vertices,
        )

    def _knows(self, action: str) -> bool:
        names = self.arrays.sampling.action_names
        return any(name in names for name in (action, f"{action}_L", f"{action}_R"))

    def _skin(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        sampling = self.arrays.sampling
        if len(sampling.albedo_bank) == 0:
            return rng.normal(size=self.model.albedo_size).astype(np.float32), np.full(3, 0.05, np.float32)
        number = rng.integers(len(sampling.albedo_bank))
        return sampling.albedo_bank[number], sampling.hair_rgb[number]

    def _displacement(self, rng: np.random.Generator) -> Array:
        waves = noise(self._mean, _WAVELENGTHS_MM, rng)
        return self.detail_mm * self._detail_weight * (waves + self._bumps(rng) + self._forehead_creases(rng))

    def _bumps(self, rng: np.random.Generator) -> Array:
        """A few asymmetric swellings and dents."""
        result = np.zeros(len(self._mean))
        for _ in range(rng.integers(4, 9)):
            centre, radius = self._mean[rng.integers(len(self._mean))], rng.uniform(*_BUMP_RADII_MM)
            distance = np.linalg.norm(self._mean - centre, axis=1)
            result += rng.uniform(-2.0, 2.0) * np.exp(-((distance / radius) ** 2))
        return result

    def _forehead_creases(self, rng: np.random.Generator) -> Array:
        """Wavy horizontal furrows above the brows, deeper in some people."""
        brows = [*LANDMARKS["right_eyebrow"], *LANDMARKS["left_eyebrow"]]
        above = self._mean[:, 1] - self.arrays.mean_shape[self.arrays.landmark_vertices[brows], 1].max()
        phase = above / rng.uniform(6.0, 9.0) + 0.25 * np.sin(self._mean[:, 0] / rng.uniform(8.0, 16.0))
        furrow = np.clip(np.cos(2 * np.pi * phase), 0, 1) ** 4
        fade = np.clip((above - 5) / 5, 0, 1) * np.exp(-((self._mean[:, 0] / 40) ** 4))
        return -rng.uniform(0.0, 1.5) * furrow * fade

    def _spots(self, rng: np.random.Generator) -> Array:
        """Factor on the diffuse albedo: soft blotches and dark moles, on skin only."""
        result = np.exp(0.06 * noise(self._mean, (10.0, 40.0), rng) * self._detail_weight)
        for _ in range(rng.integers(3, 14)):
            centre, radius = self._mean[rng.integers(len(self._mean))], rng.uniform(0.9, 2.4)
            distance = np.linalg.norm(self._mean - centre, axis=1)
            result *= 1 - rng.uniform(0.3, 0.7) * self._detail_weight * np.exp(-((distance / radius) ** 4))
        return result


def refined(triangles: NDArray[np.integer], vertex_count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split every triangle in four at the middles of its edges.

    Returns the two parents of each vertex (a vertex that stays has itself twice), (V', 2), and the triangles, (4F, 3).
    """
    a, b, c = triangles.astype(np.int64).T
    edges = np.sort(np.stack([np.stack([a, b], 1), np.stack([b, c], 1), np.stack([c, a], 1)]), axis=2)  # (3, F, 2)
    unique, middle = np.unique(edges.reshape(-1, 2), axis=0, return_inverse=True)
    ab, bc, ca = middle.reshape(3, -1) + vertex_count
    old = np.arange(vertex_count)
    parts = [np.stack(corners, axis=1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    return np.concatenate([np.stack([old, old], axis=1), unique]), np.concatenate(parts)


def noise(points: Array, wavelengths_mm: tuple[float, float], rng: np.random.Generator) -> Array:
    """A smooth random field at points (N, 3) with variance one: plane waves in random directions.

    Longer waves are higher, as on skin; with equal heights the short ones alone would shape the shading.
    """
    directions = rng.normal(size=(_WAVES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shortest, longest = np.log(wavelengths_mm)
    lengths = np.exp(rng.uniform(shortest, longest, size=_WAVES))
    heights = lengths**_ROUGHNESS
    phases = rng.uniform(0, 2 * np.pi, size=_WAVES)
    waves = np.sin(points @ (2 * np.pi * directions / lengths[:, None]).T + phases)
    return np.asarray(waves @ heights * np.sqrt(2 / (heights**2).sum()), np.float64)
