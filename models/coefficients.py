"""The coefficient groups that describe one photograph: what the network regresses and the renderer draws."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Coefficients(NamedTuple):
    """One face in one photograph; every group keeps the batch axis first.

    Shape, expression and albedo coefficients have unit variance; their lengths are those of the face model.
    """

    shape: Float[Tensor, "B I"]  # c_i
    expression: Float[Tensor, "B E"]  # c_e
    albedo: Float[Tensor, "B A"]  # c_t, drives the diffuse and the specular albedo
    euler_angles: Float[Tensor, "B 3"]  # alpha (pitch), beta (yaw), gamma (roll), radians
    translation: Float[Tensor, "B 3"]  # mm, in the frame of the face model
    scale: Float[Tensor, "B 1"]  # f, without unit, about 1
    sh_coefficients: Float[Tensor, "B 9 3"]  # lambda, linear RGB
    light_position: Float[Tensor, "B 3"]  # p_l, mm, camera frame
    shininess: Float[Tensor, "B 1"]  # phi, positive


def detach(coefficients: Coefficients) -> Coefficients:
    """The same coefficients, cut from the autograd graph."""
    return Coefficients(*(group.detach() for group in coefficients))
