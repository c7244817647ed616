"""The numbers that tables average: colour error, mouth landmarks, and distances to a known truth."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models.camera import rotation_from_euler
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.landmarks import LANDMARKS


def pixel_error(
    image: Float[Tensor, "B 3 H W"],
    rendering: Float[Tensor, "B 3 H W"],
    mask: Float[Tensor, "B 1 H W"],
    *,
    power: int = 1,
) -> Float[Tensor, "B"]:
    """Mean colour distance within a mask of zeros and ones, both pictures sRGB in 0..1; one where the mask is empty.

    With `power` 2 it is the mean of the squared distances, from which a spread over pixels follows.

    Deviation: the paper does not define Table 1's error. This is the Euclidean distance of Eq. 8, averaged over M; a
    face that is missed altogether counts as 1 (a black picture before a white one has 1.73).
    """
    distance = torch.linalg.vector_norm(image - rendering, dim=1, keepdim=True)
    area = mask.sum(dim=(1, 2, 3))
    error = (distance.pow(power) * mask).sum(dim=(1, 2, 3)) / area.clamp_min(1)
    return torch.where(area > 0, error, torch.ones_like(error))


def mouth_error(projected: Float[Tensor, "B 68 2"], true: Float[Tensor, "B 68 2"]) -> Float[Tensor, "B"]:
    """Mean distance of the eight inner-mouth landmarks (Table 5), in the unit of the points."""
    inner = list(LANDMARKS["inner_mouth"])
    return torch.linalg.vector_norm(projected[:, inner] - true[:, inner], dim=-1).mean(dim=-1)


def eye_error(projected: Float[Tensor, "B 68 2"], true: Float[Tensor, "B 68 2"]) -> Float[Tensor, "B"]:
    """By how much the distance between upper and lower lid is off, mean of both eyes, in the unit of the points."""
    return (_lid_distances(projected) - _lid_distances(true)).abs().mean(dim=-1)


def box_size(landmarks: Float[Tensor, "B 68 2"]) -> Float[Tensor, "B"]:
    """Square root of the area of the landmarks' bounding box, the norm of AFLW2000-3D's error in %."""
    extent = landmarks.amax(dim=1) - landmarks.amin(dim=1)
    return extent.prod(dim=-1).sqrt()


class TruthErrors(NamedTuple):
    """Distances of estimated coefficients to true ones, one number for each face."""

    diffuse: Float[Tensor, "B"]  # root mean square over skin vertices and channels, linear RGB
    specular: Float[Tensor, "B"]
    light_direction: Float[Tensor, "B"]  # degrees; of the first specular light
    shininess: Float[Tensor, "B"]  # mean over the regions
    pose: Float[Tensor, "B"]  # degrees of the rotation between both
    expression: Float[Tensor, "B"]  # mm, mean over vertices
    identity: Float[Tensor, "B"]


def truth_errors(
    model: FaceModel, estimated: Coefficients, true: Coefficients, visible: Bool[Tensor, "V"]
) -> TruthErrors:
    """How far an estimate is from the truth, over the `visible` vertices; both in the camera frame of the same crop."""
    skin = model.region_mask("skin", "nose")
    albedos, true_albedos = model.albedos(estimated.albedo), model.albedos(true.albedo)
    return TruthErrors(
        diffuse=_root_mean_square((albedos.diffuse - true_albedos.diffuse)[:, skin]),
        specular=_root_mean_square((albedos.specular - true_albedos.specular)[:, skin]),
        light_direction=angle_degrees(estimated.light_position[:, 0], true.light_position[:, 0]),
        shininess=(estimated.shininess - true.shininess).abs().mean(dim=-1),
        pose=rotation_degrees(estimated.euler_angles, true.euler_angles),
        expression=_mean_offset((estimated.expression - true.expression) @ model.expression_basis, visible),
        identity=_mean_offset((estimated.shape - true.shape) @ model.shape_basis, visible),
    )


def angle_degrees(first: Float[Tensor, "B 3"], second: Float[Tensor, "B 3"]) -> Float[Tensor, "B"]:
    """Angle between directions, degrees."""
    sine = torch.linalg.vector_norm(torch.linalg.cross(first, second), dim=-1)
    return torch.rad2deg(torch.atan2(sine, (first * second).sum(dim=-1)))


def rotation_degrees(first: Float[Tensor, "B 3"], second: Float[Tensor, "B 3"]) -> Float[Tensor, "B"]:
    """Angle of the rotation that leads from one pose, given as Euler angles in radians, to the other, degrees."""
    between = rotation_from_euler(first) @ rotation_from_euler(second).mT
    chord = torch.linalg.matrix_norm(between - torch.eye(3, dtype=between.dtype, device=between.device))
    return torch.rad2deg(2 * torch.asin((chord / (2 * 2**0.5)).clamp(max=1)))


def _root_mean_square(difference: Float[Tensor, "B V 3"]) -> Float[Tensor, "B"]:
    return difference.square().mean(dim=(1, 2)).sqrt()


def _mean_offset(offsets: Float[Tensor, "B N"], visible: Bool[Tensor, "V"]) -> Float[Tensor, "B"]:
    return torch.linalg.vector_norm(offsets.unflatten(-1, (-1, 3))[:, visible], dim=-1).mean(dim=-1)


def _lid_distances(landmarks: Float[Tensor, "B 68 2"]) -> Float[Tensor, "B 2"]:
    """Mean of the two pairs of points on the lids, for each eye."""
    eyes = torch.stack([landmarks[:, list(LANDMARKS[name])] for name in ("right_eye", "left_eye")], dim=1)
    upper, lower = eyes[:, :, [1, 2]], eyes[:, :, [5, 4]]  # in the order of the 68 points, around the eye
    return torch.linalg.vector_norm(upper - lower, dim=-1).mean(dim=-1)
