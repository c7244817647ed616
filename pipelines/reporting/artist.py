"""Faces for print: photograph-like renderings, grey clay, the light on a sphere; all (H, W, 3), sRGB in 0..1."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from models.camera import Camera, clip_from_camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.light import diffuse_shading, linear_from_srgb, sh_basis, specular_shading_of_lights, srgb_from_linear
from models.normals import vertex_normals
from models.rasterizer import interpolate, rasterize
from models.renderer import (
    Rendering,
    diffuse_picture,
    full_picture,
    landmark_pixels,
    pose_face,
    render,
    specular_picture,
)
from pipelines.reporting.predictions import is_finite

Picture = NDArray[np.float32]

PAPER = 1.0  # the ground that faces are drawn on
_SUPERSAMPLING = 2
_CLAY_ALBEDO = 0.55
_MOUTH_RGB = (0.25, 0.07, 0.06)  # the inner mouth, which no albedo describes
_SPHERE_RADIUS_MM = 80.0
_SPHERE_SPECULAR = 0.25
# Light from the upper left front: what each harmonic of bands 0 and 1 adds to the irradiance, (constant, y, z, x).
_STUDIO = (0.22, 0.25, 0.55, -0.35)


class Drawn(NamedTuple):
    """A face drawn in all the ways that figures show."""

    full: Picture
    diffuse: Picture
    specular: Picture  # on black
    coverage: NDArray[np.bool_]
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
        rendering = render(self.model, face, self.size * _SUPERSAMPLING)
        ground = _ground(rendering)
        return Drawn(
            full=_shrunk(full_picture(rendering) + ground),
            diffuse=_shrunk(diffuse_picture(rendering) + ground),
            specular=_shrunk(specular_picture(rendering)),
            coverage=_shrunk(rendering.coverage)[..., 0] > 0.5,
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
        grey, mouth = torch.full_like(points, _CLAY_ALBEDO), linear_from_srgb(torch.tensor(_MOUTH_RGB))
        colours = torch.where(self.model.region_mask("inner_mouth")[:, None], mouth, grey)
        return self.clay_mesh(points, self.model.triangles, self.model.mouth_triangles, colours)

    @torch.no_grad()
    def clay_mesh(
        self,
        points: Float[Tensor, "V 3"],
        triangles: Int[Tensor, "F 3"],
        mouth_triangles: Int[Tensor, "M 3"] | None = None,
        colours: Float[Tensor, "V 3"] | None = None,
    ) -> Picture:
        """Any mesh in the camera frame, mm, in studio light: grey, or in linear RGB colours per vertex."""
        count = len(triangles)
        both = triangles if mouth_triangles is None else torch.cat([triangles, mouth_triangles])
        clip = clip_from_camera(points[None], self.camera)
        ids = rasterize(clip, both, (self.size * _SUPERSAMPLING,) * 2)
        albedo = torch.full_like(points, _CLAY_ALBEDO) if colours is None else colours
        attributes = torch.cat([vertex_normals(points[None], triangles), albedo[None]], dim=-1)
        seen = ids[0] >= 0
        normals, albedos = interpolate(attributes, clip, both, ids)[0][seen].split(3, dim=-1)
        shaded = albedos * (sh_basis(normalize(normals, dim=-1)) @ studio_light()).clamp(min=0)
        picture = torch.full((*ids.shape[1:], 3), PAPER)
        picture[seen] = srgb_from_linear(shaded)
        picture[ids[0] >= count] = torch.tensor(_MOUTH_RGB)
        return _shrunk(picture.permute(2, 0, 1)[None])

    @torch.no_grad()
    def light_on_sphere(self, coefficients: Coefficients) -> Picture | None:
        """A grey shiny sphere in the light of a face: harmonics and point light."""
        if not is_finite(coefficients):
            return None
        size = self.size * _SUPERSAMPLING
        axis = (torch.arange(size) + 0.5) / size * 2.2 - 1.1
        x, y = axis.expand(size, size), -axis[:, None].expand(size, size)
        inside = (x**2 + y**2) < 1
        normals = torch.stack([x, y, (1 - x**2 - y**2).clamp(min=0).sqrt()], dim=-1)[inside][None]
        grey = torch.full_like(normals, _CLAY_ALBEDO)
        lit = diffuse_shading(grey, normals, coefficients.sh_coefficients) + specular_shading_of_lights(
            torch.full_like(normals, _SPHERE_SPECULAR),
            normals,
            normals * _SPHERE_RADIUS_MM,
            light_position=coefficients.light_position,
            light_strength=coefficients.light_strength,
            camera_position=self.camera.position,
            shininess=coefficients.shininess.mean(dim=-1, keepdim=True),
        )
        picture = torch.full((size, size, 3), PAPER)
        picture[inside] = srgb_from_linear(lit[0])
        return _shrunk(picture.permute(2, 0, 1)[None])


def over_photograph(photograph: Picture, drawn: Drawn) -> Picture:
    """The full rendering laid over the photograph, which shows hair, mouth and background."""
    return np.where(drawn.coverage[..., None], drawn.full, photograph)


def neutral_coefficients(model: FaceModel) -> Coefficients:
    """The mean face, frontal, in studio light."""
    sh = torch.zeros(1, 9, 3)
    sh[0] = studio_light()
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


def studio_light() -> Float[Tensor, "9 3"]:
    """Harmonics of white light from the upper left front."""
    directions = torch.eye(3)[[1, 2, 0]]  # y, z, x: the order of band 1
    unit = torch.cat([sh_basis(directions)[:, :1].mean()[None], sh_basis(directions).diagonal(offset=1)])
    light = torch.zeros(9, 3)
    light[:4] = (torch.tensor(_STUDIO) / unit)[:, None]
    return light


def _ground(rendering: Rendering) -> Float[Tensor, "B 3 H W"]:
    """White paper around the face and a dark inner mouth inside it."""
    free = 1 - rendering.coverage
    mouth = rendering.mouth * free
    return mouth * torch.tensor(_MOUTH_RGB).view(1, 3, 1, 1) + (free - mouth) * PAPER


def _shrunk(picture: Float[Tensor, "1 C H W"]) -> Picture:
    smaller: Picture = avg_pool2d(picture, _SUPERSAMPLING)[0].permute(1, 2, 0).numpy()
    return smaller
