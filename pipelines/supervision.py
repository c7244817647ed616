"""What the warm start learns from: the known face, pose and light of synthetic photographs."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, pad, smooth_l1_loss

from models.augmentation import Movements, move_landmarks
from models.camera import Camera, camera_from_model, clip_from_camera, pixel_from_clip
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.light import rotated_sh


class Truth(NamedTuple):
    """What is known of a synthetic photograph, in the frame of its crop; translation and scale are not."""

    coefficients: Coefficients
    landmarks: Float[Tensor, "B 68 2"]  # pixels of the crop


class Targets(NamedTuple):
    """What the predictions of a batch are compared with; not coefficients, because few modes have a mirror image."""

    vertices: Float[Tensor, "B V 3"]  # mm, frame of the face model
    albedos: Float[Tensor, "B V 6"]  # diffuse and specular, linear RGB
    landmarks: Float[Tensor, "B 68 2"]  # pixels of the crop
    euler_angles: Float[Tensor, "B 3"]  # radians
    sh_coefficients: Float[Tensor, "B 9 3"]
    light_position: Float[Tensor, "B L 3"]  # mm, camera frame
    light_strength: Float[Tensor, "B L"]
    shininess: Float[Tensor, "B S"]


class TruthLosses(NamedTuple):
    """Terms of the supervised loss, each brought to a magnitude of about one for an untrained network."""

    vertices: Tensor
    landmarks: Tensor
    pose: Tensor
    albedo: Tensor
    light: Tensor
    highlight: Tensor


class Supervision(nn.Module):
    """The distance of predictions to the truth; the weights multiply the terms of their names.

    Heavier vertices keep identities apart: most of their modes move a face by less than a pixel. A heavier highlight
    makes itself heard beside them: how wide it is, which the shininess says, is a matter of a few faint pixels.
    """

    partners: Tensor

    def __init__(
        self,
        model: FaceModel,
        camera: Camera,
        crop_size: int,
        *,
        vertex_weight: float,
        landmark_weight: float,
        highlight_weight: float,
    ) -> None:
        super().__init__()
        self.model, self.camera, self.crop_size = model, camera, crop_size
        self.vertex_weight, self.landmark_weight = vertex_weight, landmark_weight
        self.highlight_weight = highlight_weight
        self.register_buffer("partners", mirror_partners(model.mean_shape, model.triangles))

    def forward(self, predicted: Coefficients, known: Truth, movements: Movements) -> TruthLosses:
        """The terms for predictions on pictures to which `movements` were applied."""
        wanted = self.targets(known, movements)
        vertices = self.model.vertices(predicted.shape, predicted.expression)
        posed = camera_from_model(vertices, predicted.euler_angles, predicted.translation, predicted.scale)
        clip = clip_from_camera(self.model.landmarks(posed), self.camera)
        points = pixel_from_clip(clip, (self.crop_size, self.crop_size))
        return TruthLosses(
            vertices=self.vertex_weight * torch.linalg.vector_norm(vertices - wanted.vertices, dim=-1).mean() / 5,
            landmarks=self.landmark_weight * torch.linalg.vector_norm(points - wanted.landmarks, dim=-1).mean() / 5,
            pose=smooth_l1_loss(predicted.euler_angles, wanted.euler_angles, beta=0.05) / 0.2,
            albedo=(_albedos(self.model, predicted) - wanted.albedos).abs().mean() / 0.05,
            light=smooth_l1_loss(predicted.sh_coefficients, wanted.sh_coefficients, beta=0.1) / 0.2,
            highlight=self.highlight_weight * _highlight_loss(predicted, wanted),
        )

    def targets(self, known: Truth, movements: Movements) -> Targets:
        """What is to be seen on pictures that were mirrored, shifted and scaled.

        Small shifts and scales change the landmarks alone, because translation and scale have no target; a rotation
        in the picture would change pose and light too and is not provided for.
        """
        true = known.coefficients
        unmoved = Targets(
            vertices=self.model.vertices(true.shape, true.expression),
            albedos=_albedos(self.model, true),
            landmarks=move_landmarks(known.landmarks, movements, self.crop_size),
            euler_angles=true.euler_angles,
            sh_coefficients=true.sh_coefficients,
            light_position=true.light_position,
            light_strength=true.light_strength,
            shininess=true.shininess,
        )
        pairs = zip(unmoved, _mirrored(unmoved, self.partners), strict=True)
        return Targets(*(torch.where(_like(movements.mirrored, kept), flipped, kept) for kept, flipped in pairs))


def mirror_partners(mean_shape: Float[Tensor, "V 3"], triangles: Int[Tensor, "F 3"]) -> Int[Tensor, "V"]:
    """For each vertex of a mean face the one nearest to its mirror image; itself in the middle of the face.

    Closed lips have two vertices in one place, so the middle of the triangles around a vertex counts as well.
    """
    corners = triangles.long().flatten()
    middles = mean_shape[triangles.long()].mean(dim=1).repeat_interleave(3, dim=0)
    sums = torch.zeros_like(mean_shape).index_add(0, corners, middles)
    around = sums / torch.bincount(corners, minlength=len(mean_shape)).clamp_min(1)[:, None]
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    places = torch.cat([mean_shape, around], dim=1).numpy()
    mirrored = torch.cat([mean_shape * mirror, around * mirror], dim=1).numpy()
    return torch.from_numpy(cKDTree(places).query(mirrored)[1])


def _mirrored(faces: Targets, partners: Int[Tensor, "V"]) -> Targets:
    """The targets of mirror images; the landmarks, moved already, stay as they are."""
    mirror = faces.vertices.new_tensor([-1.0, 1.0, 1.0])
    reflection = torch.diag(mirror).expand(len(faces.vertices), 3, 3)
    return faces._replace(
        vertices=faces.vertices[:, partners] * mirror,
        albedos=faces.albedos[:, partners],
        euler_angles=-mirror * faces.euler_angles,  # pitch stays, yaw and roll change sign
        sh_coefficients=rotated_sh(faces.sh_coefficients, reflection),
        light_position=faces.light_position * mirror,
    )


def _highlight_loss(predicted: Coefficients, wanted: Targets) -> Tensor:
    """Directions of the specular lights, each as much as it is there, strengths of all, and shininess.

    The network may know more lights than the photographs have, or fewer; a light that one side lacks has no strength.
    """
    lights, true_lights = predicted.light_strength.shape[1], wanted.light_strength.shape[1]
    common = min(lights, true_lights)
    cosine = cosine_similarity(predicted.light_position[:, :common], wanted.light_position[:, :common], dim=-1)
    directions = ((1 - cosine) * wanted.light_strength[:, :common]).sum(dim=-1)
    strengths = pad(predicted.light_strength, (0, true_lights - common)) - pad(
        wanted.light_strength, (0, lights - common)
    )
    shininess_ratio = predicted.shininess / wanted.shininess
    return (directions + strengths.abs().sum(dim=-1)).mean() + torch.log(shininess_ratio).abs().mean() / 2


def _albedos(model: FaceModel, coefficients: Coefficients) -> Float[Tensor, "B V 6"]:
    return torch.cat(model.albedos(coefficients.albedo), dim=-1)


def _like(chosen: Tensor, values: Tensor) -> Tensor:
    return chosen.to(values.device).view(-1, *[1] * (values.ndim - 1))
