"""Faces for print: photograph-like renderings, grey clay, the light on a sphere; all (H, W, 3), sRGB in 0..1."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from models.camera import Camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.renderer import (
    Rendering,
    diffuse_picture,
    full_picture,
    landmark_pixels,
    pose_face,
    render,
    specular_picture,
)
from pipelines import studio
from pipelines.reporting.predictions import is_finite

Picture = NDArray[np.float32]


class Drawn(NamedTuple):
    """A face drawn in all the ways that figures show."""

    full: Picture
    diffuse: Picture
    specular: Picture  # on black
    coverage: NDArray[np.bool_]
    opacity: NDArray[np.float32]  # (H, W, 1) how much of each pixel is face
    face: Picture  # full, on black
    landmarks: NDArray[np.float32]  # (68, 2) pixels


class Artist:
    """Draws faces of one face model, seen by one camera, as pictures of one size."""

    def __init__(self, model: FaceModel, camera: Camera, size: int) -> None:
        self.model, self.camera, self.size = model, camera, size

    @torch.no_grad()
    def draw(self, coefficients: Coefficients) -> Drawn | None:
        """The face as coefficients describe it; None for a diverged prediction."""
        if not is_finite(coefficients):
            return None
        face = pose_face(self.model, coefficients, self.camera)
        rendering = render(self.model, face, self.size * studio.SUPERSAMPLING)
        ground = _ground(rendering)
        opacity = _shrunk(rendering.coverage)
        return Drawn(
            full=_shrunk(full_picture(rendering) + ground),
            diffuse=_shrunk(diffuse_picture(rendering) + ground),
            specular=_shrunk(specular_picture(rendering)),
            coverage=opacity[..., 0] > 0.5,
            opacity=opacity,
            face=_shrunk(full_picture(rendering)),
            landmarks=landmark_pixels(self.model, face, self.size)[0].numpy(),
        )

    @torch.no_grad()
    def clay(self, coefficients: Coefficients) -> Picture | None:
        """The shape alone, grey in studio light, in the pose of the photograph."""
        if not is_finite(coefficients):
            return None
        points = pose_face(self.model, coefficients, self.camera).points[0]
        return self.clay_face(points)

    def clay_face(self, points: Float[Tensor, "V 3"]) -> Picture:
        """A mesh with the topology of the face model, in the camera frame; its inner mouth is dark."""
        return _rows_first(studio.clay_face(self.model, points, self.camera, self.size))

    def clay_mesh(
        self,
        points: Float[Tensor, "V 3"],
        triangles: Int[Tensor, "F 3"],
        mouth_triangles: Int[Tensor, "M 3"] | None = None,
        colours: Float[Tensor, "V 3"] | None = None,
    ) -> Picture:
        """Any mesh in the camera frame, mm, in studio light: grey, or in linear RGB colours per vertex."""
        picture = studio.clay_mesh(
            points, triangles, self.camera, self.size, mouth_triangles=mouth_triangles, colours=colours
        )
        return _rows_first(picture)

    def light_on_sphere(self, coefficients: Coefficients) -> Picture | None:
        """A grey shiny sphere in the light of a face: harmonics and point light."""
        if not is_finite(coefficients):
            return None
        return _rows_first(studio.light_on_sphere(coefficients, self.camera, self.size))


def over_photograph(photograph: Picture, drawn: Drawn) -> Picture:
    """The full rendering laid over the photograph, which shows hair, mouth and background."""
    return drawn.face + (1 - drawn.opacity) * photograph


def neutral_coefficients(model: FaceModel) -> Coefficients:
    """The mean face, frontal, in studio light."""
    sh = torch.zeros(1, 9, 3)
    sh[0] = studio.studio_light()
    return Coefficients(
        shape=torch.zeros(1, model.shape_size),
        expression=torch.zeros(1, model.expression_size),
        albedo=torch.zeros(1, model.albedo_size),
        euler_angles=torch.zeros(1, 3),
        translation=torch.zeros(1, 3),
        scale=torch.ones(1, 1),
        sh_coefficients=sh,
        light_position=torch.tensor([[[-300.0, 400.0, 700.0]]]),
        light_strength=torch.ones(1, 1),
        shininess=torch.full((1, 1), 18.0),
    )


def _ground(rendering: Rendering) -> Float[Tensor, "B 3 H W"]:
    """White paper around the face and a dark inner mouth inside it."""
    free = 1 - rendering.coverage
    mouth = rendering.mouth * free
    return mouth * torch.tensor(studio.MOUTH_RGB).view(1, 3, 1, 1) + (free - mouth) * studio.PAPER


def _shrunk(picture: Float[Tensor, "1 C H W"]) -> Picture:
    return _rows_first(avg_pool2d(picture, studio.SUPERSAMPLING)[0])


def _rows_first(picture: Float[Tensor, "C H W"]) -> Picture:
    result: Picture = picture.permute(1, 2, 0).numpy()
    return result
