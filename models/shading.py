"""The light of a whole face at once: both parts, Eqs. 4 and 5 of `models.light`, as the renderer needs them."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from models.compiled import arrays, for_each
from models.light import SMALLEST_COSINE, SMALLEST_LENGTH, diffuse_shading, specular_shading_of_lights

_LIMITS = (SMALLEST_LENGTH, SMALLEST_COSINE)


def lit_colours(
    albedos: Float[Tensor, "B 2 V 3"],
    normals: Float[Tensor, "B V 3"],
    points: Float[Tensor, "B V 3"],
    sh_coefficients: Float[Tensor, "B 9 3"],
    light_position: Float[Tensor, "B L 3"],
    light_strength: Float[Tensor, "B L"],
    camera_position: tuple[float, float, float],
    shininess: Float[Tensor, "B S"],
) -> Float[Tensor, "B V 6"]:
    """Lit diffuse colours and, beside them, lit specular colours of each vertex, linear RGB.

    Points and positions are in mm, camera frame. On the CPU compiled loops do the work, three times as fast as the
    plain operations; vertices that no pixel shows cost them nothing in the backward pass.
    """
    if normals.device.type != "cpu":
        diffuse = diffuse_shading(albedos[:, 0], normals, sh_coefficients)
        lights = (light_position, light_strength, camera_position, shininess)
        return torch.cat([diffuse, specular_shading_of_lights(albedos[:, 1], normals, points, *lights)], dim=-1)
    inputs = (albedos, normals, points, sh_coefficients, light_position, light_strength, shininess)
    lit: Tensor = _LitColours.apply(normals.new_tensor(camera_position), *inputs)
    return lit


def _check_shapes(
    albedos: Tensor,
    normals: Tensor,
    points: Tensor,
    sh_coefficients: Tensor,
    light_position: Tensor,
    light_strength: Tensor,
    shininess: Tensor,
) -> None:
    """Refuse what does not belong together: the kernels would read foreign memory."""
    (faces, vertices), lights = normals.shape[:2], light_strength.shape[-1]
    expected = [
        ("albedos", albedos, (faces, 2, vertices, 3)),
        ("normals", normals, (faces, vertices, 3)),
        ("points", points, (faces, vertices, 3)),
        ("sh_coefficients", sh_coefficients, (faces, 9, 3)),
        ("light_position", light_position, (faces, lights, 3)),
        ("light_strength", light_strength, (faces, lights)),
        ("shininess", shininess, (faces, 1 if shininess.shape[-1] == 1 else vertices)),
    ]
    for name, value, shape in expected:
        if tuple(value.shape) != shape:
            raise ValueError(f"{name}: expected the shape {shape}, got {tuple(value.shape)}")


class _LitColours(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, camera: Tensor, *inputs: Tensor) -> Tensor:
        from models import shading_kernels  # numba takes a moment

        _check_shapes(*inputs)
        normals = inputs[1]
        lit = normals.new_empty(*normals.shape[:2], 6)
        (eye,), given, (output,) = arrays(camera), arrays(*inputs), arrays(lit)

        def one(face: int) -> None:
            albedos, normals, points, sh, positions, strengths, shininess = (array[face] for array in given)
            shading_kernels.forward(
                albedos, normals, points, sh, positions, strengths, eye, shininess, *_LIMITS, output[face]
            )

        for_each(one, len(lit))
        ctx.save_for_backward(camera, *inputs)
        return lit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        from models import shading_kernels

        camera, *inputs = ctx.saved_tensors
        to_inputs = [torch.zeros_like(value, memory_format=torch.contiguous_format) for value in inputs]
        (eye, changes), given, outputs = arrays(camera, gradient), arrays(*inputs), arrays(*to_inputs)

        def one(face: int) -> None:
            albedos, normals, points, sh, positions, strengths, shininess = (array[face] for array in given)
            to_albedos, to_normals, to_points, to_sh, *to_light = (array[face] for array in outputs)
            shading_kernels.diffuse_backward(changes[face], albedos, normals, sh, to_albedos, to_normals, to_sh)
            shading_kernels.specular_backward(
                changes[face],
                albedos,
                normals,
                points,
                positions,
                strengths,
                eye,
                shininess,
                *_LIMITS,
                to_albedos,
                to_normals,
                to_points,
                *to_light,
            )

        for_each(one, len(gradient))
        return None, *to_inputs
