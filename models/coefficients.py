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
    light_position: Float[Tensor, "B L 3"]  # p_l of each specular light, mm, camera frame; the paper has one
    light_strength: Float[Tensor, "B L"]  # of each specular light; 1 is that of Eq. 5
    shininess: Float[Tensor, "B S"]  # phi, positive; one for the face (the paper's), or one for each of its regions


class CoefficientSizes(NamedTuple):
    """How long the groups are that depend on the face model and on options; the others are fixed."""

    shape: int
    expression: int
    albedo: int
    lights: int = 1
    shininess: int = 1


def detach(coefficients: Coefficients) -> Coefficients:
    """The same coefficients, cut from the autograd graph."""
    return Coefficients(*(group.detach() for group in coefficients))
