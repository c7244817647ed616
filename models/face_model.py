"""The morphable face model: shape (Eq. 1), diffuse and specular albedo (Eq. 2)."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from models.landmarks import LANDMARK_COUNT
from models.segments import SEGMENT_INDEX


@dataclass(frozen=True)
class Sampling:
    """How to draw plausible people, for face models that know; lengths may be zero.

    `action_coefficients` turns activations of named facial actions (0 to 1) into expression coefficients;
    `albedo_bank` holds albedo coefficients of plausible skins and `hair_rgb` the linear hair colour of each.
    """

    action_names: tuple[str, ...] = ()
    action_coefficients: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    albedo_bank: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    hair_rgb: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))


@dataclass(frozen=True)
class FaceModelArrays:
    """The numbers of a face model, whatever its source.

    Geometry in mm, x right (the person's left), y up, z to the viewer; the origin is the mean of the five alignment
    points of the mean face. Bases are rescaled: already multiplied by the standard deviation of their mode.
    Albedos are linear RGB in 0..1. `mouth_triangles` close the gap between the lips (red area of Fig. 1c); they are
    not part of `triangles`, which are counter-clockwise seen from outside.
    """

    source: str
    mean_shape: NDArray[np.float32]  # (V, 3)
    shape_basis: NDArray[np.float32]  # (I, V, 3)
    expression_basis: NDArray[np.float32]  # (E, V, 3)
    mean_diffuse: NDArray[np.float32]  # (V, 3)
    diffuse_basis: NDArray[np.float32]  # (A, V, 3)
    mean_specular: NDArray[np.float32]  # (V, 3)
    specular_basis: NDArray[np.float32]  # (A, V, 3)
    triangles: NDArray[np.int32]  # (F, 3)
    mouth_triangles: NDArray[np.int32]  # (M, 3)
    landmark_vertices: NDArray[np.int32]  # (68,)
    uv: NDArray[np.float32]  # (V, 2), 0..1, v up
    regions: NDArray[np.uint8]  # (V,), number in models.segments.SEGMENTS
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together; a wrong topology would give a plausible wrong picture."""
        vertex_count = len(self.mean_shape)
        per_vertex: dict[str, NDArray[Any]] = {
            "mean_shape": self.mean_shape,
            "mean_diffuse": self.mean_diffuse,
            "mean_specular": self.mean_specular,
            "uv": self.uv,
            "regions": self.regions,
        }
        bases: dict[str, NDArray[Any]] = {
            "shape_basis": self.shape_basis,
            "expression_basis": self.expression_basis,
            "diffuse_basis": self.diffuse_basis,
            "specular_basis": self.specular_basis,
        }
        counts = {name: len(array) for name, array in per_vertex.items()}
        counts |= {name: basis.shape[1] for name, basis in bases.items()}
        for name, count in counts.items():
            if count != vertex_count:
                raise ValueError(f"face model: {name} has {count} vertices, mean_shape has {vertex_count}")
        if len(self.diffuse_basis) != len(self.specular_basis):
            raise ValueError(
                f"face model: {len(self.diffuse_basis)} diffuse and {len(self.specular_basis)} specular modes;"
                " one coefficient vector drives both, so the numbers must agree"
            )
        if len(self.landmark_vertices) != LANDMARK_COUNT:
            raise ValueError(f"face model: expected {LANDMARK_COUNT} landmarks, got {len(self.landmark_vertices)}")
        for name, indices in (
            ("triangles", self.triangles),
            ("mouth_triangles", self.mouth_triangles),
            ("landmark_vertices", self.landmark_vertices),
        ):
            if indices.size == 0:
                raise ValueError(f"face model: {name} is empty")
            if indices.min() < 0 or indices.max() >= vertex_count:
                raise ValueError(f"face model: {name} points outside the {vertex_count} vertices")
        for name, array in (per_vertex | bases).items():
            if not np.isfinite(array).all():
                raise ValueError(f"face model: {name} contains NaN or infinity")


class Albedos(NamedTuple):
    """Linear RGB per vertex."""

    diffuse: Float[Tensor, "B V 3"]
    specular: Float[Tensor, "B V 3"]


class FaceModel(nn.Module):
    """A morphable face model as buffers, so that it moves between devices with the network."""

    mean_shape: Tensor
    geometry_basis: Tensor
    mean_albedos: Tensor
    albedo_basis: Tensor
    triangles: Tensor
    mouth_triangles: Tensor
    mouth_vertices: Tensor
    mouth_corners: Tensor
    landmark_vertices: Tensor
    regions: Tensor
    region_ranks: Tensor

    def __init__(self, arrays: FaceModelArrays) -> None:
        super().__init__()
        self.arrays = arrays
        self.register_buffer("mean_shape", torch.from_numpy(arrays.mean_shape))
        # Bases that are needed together lie in one matrix: one product instead of two.
        self.register_buffer("geometry_basis", _rows(arrays.shape_basis, arrays.expression_basis))  # (I + E, 3V)
        self.register_buffer("mean_albedos", _columns(arrays.mean_diffuse, arrays.mean_specular))  # (6V)
        self.register_buffer("albedo_basis", _columns(arrays.diffuse_basis, arrays.specular_basis))  # (A, 6V)
        for name in ("triangles", "mouth_triangles", "landmark_vertices"):
            self.register_buffer(name, torch.from_numpy(getattr(arrays, name)).to(torch.int32))
        # The patch of the inner mouth as a mesh of its own: the vertices it uses, and its triangles numbered in them.
        vertices, corners = torch.unique(self.mouth_triangles, return_inverse=True)
        self.register_buffer("mouth_vertices", vertices.long())
        self.register_buffer("mouth_corners", corners.to(torch.int32))
        self.register_buffer("regions", torch.from_numpy(arrays.regions))
        self.register_buffer("region_ranks", torch.unique(self.regions, return_inverse=True)[1])
        self.region_count = len(self.regions.unique())  # number of different regions that vertices belong to

    @property
    def shape_basis(self) -> Float[Tensor, "I N"]:
        """Identity modes, mm a unit coefficient."""
        return self.geometry_basis[: self.shape_size]

    @property
    def expression_basis(self) -> Float[Tensor, "E N"]:
        """Expression modes, mm a unit coefficient."""
        return self.geometry_basis[self.shape_size :]

    @property
    def shape_size(self) -> int:
        """Number of identity coefficients."""
        return len(self.arrays.shape_basis)

    @property
    def expression_size(self) -> int:
        """Number of expression coefficients."""
        return len(self.arrays.expression_basis)

    @property
    def albedo_size(self) -> int:
        """Number of albedo coefficients."""
        return len(self.albedo_basis)

    def vertices(self, shape: Float[Tensor, "B I"], expression: Float[Tensor, "B E"]) -> Float[Tensor, "B V 3"]:
        """Vertices in mm: mean plus identity plus expression (Eq. 1)."""
        coefficients = torch.cat([shape, expression], dim=-1)
        return torch.addmm(self.mean_shape.flatten(), coefficients, self.geometry_basis).unflatten(-1, (-1, 3))

    def albedos(self, albedo: Float[Tensor, "B A"]) -> Albedos:
        """Diffuse and specular albedo from one coefficient vector, linear RGB (Eq. 2).

        Deviation: Eq. 2 applies the exponent 1/2.2 to the sum of both albedos. Eqs. 4 and 5 shade them separately,
        and light adds up linearly, so the albedos stay linear and the gamma comes once, after shading
        (`models.light.srgb_from_linear`). Negative albedos, which a linear model can produce, are not clamped here;
        shading clamps what it shows.
        """
        both = self.both_albedos(albedo)
        return Albedos(both[:, 0], both[:, 1])

    def both_albedos(self, albedo: Float[Tensor, "B A"]) -> Float[Tensor, "B 2 V 3"]:
        """`albedos` in one tensor: diffuse, then specular."""
        return torch.addmm(self.mean_albedos, albedo, self.albedo_basis).unflatten(-1, (2, -1, 3))

    def landmarks(self, vertices: Float[Tensor, "B V C"]) -> Float[Tensor, "B 68 C"]:
        """The 68 landmark vertices, in whatever frame the vertices are."""
        return vertices[:, self.landmark_vertices.long()]

    def shininess_of_vertices(self, shininess: Float[Tensor, "B S"]) -> Float[Tensor, "B S2"]:
        """Shininess (B, 1) of the whole face as it is; of each region (B, region_count), spread over the vertices.

        Regions are counted in the order of their numbers in `models.segments.SEGMENTS`. ValueError for another length.
        """
        if shininess.shape[1] == 1:
            return shininess
        if shininess.shape[1] != self.region_count:
            raise ValueError(
                f"{shininess.shape[1]} values of shininess; expected 1 or one for {self.region_count} regions"
            )
        return shininess[:, self.region_ranks]

    def region_mask(self, *names: str) -> Tensor:
        """Boolean (V,): whether a vertex belongs to one of the named segments."""
        wanted = torch.tensor([SEGMENT_INDEX[name] for name in names], device=self.regions.device)
        return torch.isin(self.regions.long(), wanted)


def _rows(first: NDArray[np.float32], second: NDArray[np.float32]) -> Tensor:
    """Two bases (modes, V, 3) below one another."""
    return torch.from_numpy(np.concatenate([first, second]).reshape(len(first) + len(second), -1))


def _columns(first: NDArray[np.float32], second: NDArray[np.float32]) -> Tensor:
    """Two arrays (..., V, 3) beside one another, the last two axes as one."""
    return torch.from_numpy(np.stack([first, second], axis=-3).reshape(*first.shape[:-2], -1))
