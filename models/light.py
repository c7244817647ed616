"""Light on skin: spherical harmonics for the diffuse part (Eq. 4), Blinn–Phong for the specular one (Eq. 5); gamma."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.compiled import arrays, for_each

GAMMA = 2.2  # Eq. 2
_KNEE = 0.0031308  # linear light; the slope below is 23, not 772 as with a knee at the first of 255 steps
_SRGB_KNEE = _KNEE ** (1 / GAMMA)
_DARK_SLOPE = _SRGB_KNEE / _KNEE
SMALLEST_LENGTH = 1.0e-6  # mm; a shorter vector has no direction
SMALLEST_COSINE = 1.0e-6  # keeps the logarithm in Eq. 5's power finite; 1e-6 to a power above 1 is black anyway


def sh_basis(normals: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 9"]:
    """The nine real orthonormal spherical harmonics of bands 0, 1, 2 at unit directions (the functions of Eq. 4)."""
    return torch.stack(_harmonics(normals), dim=-1)


def _harmonics(normals: Float[Tensor, "*B 3"]) -> list[Float[Tensor, "*B"]]:
    x, y, z = normals.unbind(dim=-1)
    c0 = 0.5 / math.sqrt(math.pi)
    c1 = math.sqrt(3 / (4 * math.pi))
    c2 = math.sqrt(15 / (4 * math.pi))
    c3 = math.sqrt(5 / (16 * math.pi))
    return [
        torch.full_like(x, c0),
        c1 * y,
        c1 * z,
        c1 * x,
        c2 * x * y,
        c2 * y * z,
        c3 * (3 * z * z - 1),
        c2 * x * z,
        0.5 * c2 * (x * x - y * y),
    ]


def rotated_sh(sh_coefficients: Float[Tensor, "B 9 3"], rotation: Float[Tensor, "B 3 3"]) -> Float[Tensor, "B 9 3"]:
    """Harmonics of the same light after it was rotated: a surface rotated with it looks the same.

    Three bands are closed under rotation, so nine samples in general position would do; these are well spread.
    """
    steps = torch.arange(32, dtype=rotation.dtype, device=rotation.device) + 0.5
    z = 1 - steps / 16
    azimuth = math.pi * (1 + math.sqrt(5)) * steps
    ring = torch.sqrt(1 - z * z)
    directions = torch.stack([ring * torch.cos(azimuth), ring * torch.sin(azimuth), z], dim=-1)
    rotated_back = sh_basis(directions @ rotation) @ sh_coefficients  # the old light from where the new one comes
    return torch.linalg.pinv(sh_basis(directions)) @ rotated_back


def diffuse_shading(
    diffuse_albedo: Float[Tensor, "B V 3"],
    normals: Float[Tensor, "B V 3"],
    sh_coefficients: Float[Tensor, "B 9 3"],
) -> Float[Tensor, "B V 3"]:
    """Lit diffuse colour, linear RGB: albedo times the irradiance of the harmonics (Eq. 4).

    Deviation: negative light and negative albedo, both possible in linear models, are clamped to zero.
    """
    # One row a harmonic and one a channel: the product with rows as long as the mesh is fast, with columns it is not.
    irradiance = sh_coefficients.transpose(-1, -2) @ torch.stack(_harmonics(normals), dim=-2)
    return diffuse_albedo.clamp(min=0) * irradiance.clamp(min=0).transpose(-1, -2)


def specular_shading(
    specular_albedo: Float[Tensor, "B V 3"],
    normals: Float[Tensor, "B V 3"],
    points: Float[Tensor, "B V 3"],
    light_position: Float[Tensor, "B 3"],
    camera_position: tuple[float, float, float],
    shininess: Float[Tensor, "B S"],
) -> Float[Tensor, "B V 3"]:
    """Lit specular colour of one point light, linear RGB: Blinn–Phong (Eq. 5).

    Points and positions are in mm, camera frame. `shininess` is one number a face (S = 1) or one a vertex (S = V).

    Deviation: the cosine is clamped at zero before the power, and a vertex turned away from the light gets no
    highlight; as printed, a negative cosine to a real power is NaN.
    """
    # Coordinates as rows (B, 3, V): sums over them are several times as fast as over columns of three.
    places, normals = points.transpose(1, 2).contiguous(), normals.transpose(1, 2)
    incoming = _unit(places - light_position[..., None])  # v_in: from the light to the vertex
    towards_camera = [there - here for here, there in zip(places.unbind(dim=1), camera_position, strict=True)]
    outgoing = _unit(torch.stack(towards_camera, dim=1))  # v_out: from the vertex to the camera
    half_way = outgoing - incoming
    cosine = _dot(half_way, normals) * _inverse_length(half_way)
    lit = (cosine > SMALLEST_COSINE) & (_dot(incoming, normals) < 0)
    power = torch.exp(shininess * torch.log(cosine.clamp(min=SMALLEST_COSINE)))
    return specular_albedo.clamp(min=0) * torch.where(lit, power, 0)[..., None]


def _dot(first: Float[Tensor, "B 3 V"], second: Float[Tensor, "B 3 V"]) -> Float[Tensor, "B V"]:
    return (first * second).sum(dim=1)


def _inverse_length(vectors: Float[Tensor, "B 3 V"]) -> Float[Tensor, "B V"]:
    return torch.rsqrt(_dot(vectors, vectors).clamp(min=SMALLEST_LENGTH**2))


def _unit(vectors: Float[Tensor, "B 3 V"]) -> Float[Tensor, "B 3 V"]:
    return vectors * _inverse_length(vectors)[:, None]


def specular_shading_of_lights(
    specular_albedo: Float[Tensor, "B V 3"],
    normals: Float[Tensor, "B V 3"],
    points: Float[Tensor, "B V 3"],
    light_position: Float[Tensor, "B L 3"],
    light_strength: Float[Tensor, "B L"],
    camera_position: tuple[float, float, float],
    shininess: Float[Tensor, "B S"],
) -> Float[Tensor, "B V 3"]:
    """Sum of Eq. 5 over point lights, each times its strength; light adds up in linear RGB.

    Beyond the paper, which has one light of strength 1 and names that a limitation.
    """
    highlights = [
        strength[:, None, None]
        * specular_shading(specular_albedo, normals, points, position, camera_position, shininess)
        for position, strength in zip(light_position.unbind(dim=1), light_strength.unbind(dim=1), strict=True)
    ]
    return torch.stack(highlights).sum(dim=0)


def srgb_from_linear(linear: Tensor) -> Tensor:
    """Picture values in 0..1 from linear light: clamp, then the exponent 1/2.2 of Eq. 2.

    Deviation: the exponent acts on shaded light instead of on the albedo (see `FaceModel.albedos`). Below sRGB's own
    knee the curve is a straight line, because the slope of the power is infinite at zero.
    """
    picture: Tensor = _Gamma.apply(linear)
    return picture


class _Gamma(torch.autograd.Function):
    """The curve of `srgb_from_linear`; its slope follows from its value, without another power."""

    @staticmethod
    def forward(ctx: Any, linear: Tensor) -> Tensor:
        bright = linear.clamp(min=_KNEE, max=1.0) ** (1 / GAMMA)
        picture = torch.where(linear > _KNEE, bright, linear.clamp(min=0.0) * _DARK_SLOPE)
        ctx.save_for_backward(linear, picture)
        return picture

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        linear, picture = ctx.saved_tensors
        if gradient.device.type == "cpu":
            return _compiled_gamma_backward(gradient, linear, picture)
        slope = torch.where(linear > _KNEE, picture / (GAMMA * linear), _DARK_SLOPE)
        return torch.where((linear >= 0) & (linear <= 1), gradient * slope, 0)


def _compiled_gamma_backward(gradient: Tensor, linear: Tensor, picture: Tensor) -> Tensor:
    from models.pixel_kernels import gamma_backward  # numba takes a moment

    to_linear = torch.empty_like(linear, memory_format=torch.contiguous_format)
    flat = (array.reshape(-1) for array in arrays(gradient, linear, picture, to_linear))
    pieces = list(zip(*(np.array_split(array, torch.get_num_threads()) for array in flat), strict=True))
    for_each(lambda k: gamma_backward(*pieces[k][:3], GAMMA, _KNEE, _DARK_SLOPE, pieces[k][3]), len(pieces))
    return to_linear


def linear_from_srgb(srgb: Tensor) -> Tensor:
    """Linear light from picture values in 0..1: the inverse of `srgb_from_linear`."""
    bright = srgb.clamp(min=_SRGB_KNEE, max=1.0) ** GAMMA
    return torch.where(srgb > _SRGB_KNEE, bright, srgb.clamp(min=0.0) / _DARK_SLOPE)
