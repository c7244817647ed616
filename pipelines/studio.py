"""Grey clay in studio light and the light of a face on a sphere: shape and light alone, as (3, H, W) pictures in sRGB.

Every pixel is the mean of four, so that outlines are smooth.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from models.camera import Camera, clip_from_camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.light import diffuse_shading, linear_from_srgb, sh_basis, specular_shading_of_lights, srgb_from_linear
from models.normals import vertex_normals
from models.rasterizer import interpolate, rasterize

BLACK = 0.0  # the grounds that faces are drawn on
PAPER = 1.0
SUPERSAMPLING = 2
MOUTH_RGB = (0.25, 0.07, 0.06)  # the inner mouth, which no albedo describes
_CLAY_ALBEDO = 0.55
_SPHERE_RADIUS_MM = 80.0
_SPHERE_SPECULAR = 0.25
# Light from the upper left front: what each harmonic of bands 0 and 1 adds to the irradiance, (constant, y, z, x).
_STUDIO = (0.22, 0.25, 0.55, -0.35)


def clay_face(
    model: FaceModel, points: Float[Tensor, "V 3"], camera: Camera, size: int, *, ground: float = PAPER
) -> Float[Tensor, "3 S S"]:
    """A mesh with the topology of the face model, mm, camera frame; its inner mouth is dark."""
    grey, mouth = torch.full_like(points, _CLAY_ALBEDO), linear_from_srgb(points.new_tensor(MOUTH_RGB))
    colours = torch.where(model.region_mask("inner_mouth")[:, None], mouth, grey)
    return clay_mesh(
        points,
        model.triangles,
        camera,
        size,
        mouth_triangles=model.mouth_triangles,
        colours=colours,
        ground=ground,
    )


@torch.no_grad()
def clay_mesh(
    points: Float[Tensor, "V 3"],
    triangles: Int[Tensor, "F 3"],
    camera: Camera,
    size: int,
    *,
    mouth_triangles: Int[Tensor, "M 3"] | None = None,
    colours: Float[Tensor, "V 3"] | None = None,
    ground: float = PAPER,
) -> Float[Tensor, "3 S S"]:
    """Any mesh in the camera frame, mm, in studio light: grey, or in linear RGB colours per vertex."""
    count = len(triangles)
    both = triangles if mouth_triangles is None else torch.cat([triangles, mouth_triangles])
    clip = clip_from_camera(points[None], camera)
    ids = rasterize(clip, both, (size * SUPERSAMPLING,) * 2)
    albedo = torch.full_like(points, _CLAY_ALBEDO) if colours is None else colours
    attributes = torch.cat([vertex_normals(points[None], triangles), albedo[None]], dim=-1)
    seen = ids[0] >= 0
    normals, albedos = interpolate(attributes, clip, both, ids)[0][seen].split(3, dim=-1)
    shaded = albedos * (sh_basis(normalize(normals, dim=-1)) @ studio_light().to(points)).clamp(min=0)
    picture = points.new_full((*ids.shape[1:], 3), ground)
    picture[seen] = srgb_from_linear(shaded)
    picture[ids[0] >= count] = points.new_tensor(MOUTH_RGB)
    return _shrunk(picture)


@torch.no_grad()
def light_on_sphere(
    coefficients: Coefficients, camera: Camera, size: int, *, ground: float = PAPER
) -> Float[Tensor, "3 S S"]:
    """A grey shiny sphere in the light of one face: harmonics and point lights."""
    side = size * SUPERSAMPLING
    axis = (torch.arange(side, device=coefficients.shape.device) + 0.5) / side * 2.2 - 1.1
    x, y = axis.expand(side, side), -axis[:, None].expand(side, side)
    inside = (x**2 + y**2) < 1
    normals = torch.stack([x, y, (1 - x**2 - y**2).clamp(min=0).sqrt()], dim=-1)[inside][None]
    grey = torch.full_like(normals, _CLAY_ALBEDO)
    lit = diffuse_shading(grey, normals, coefficients.sh_coefficients) + specular_shading_of_lights(
        torch.full_like(normals, _SPHERE_SPECULAR),
        normals,
        normals * _SPHERE_RADIUS_MM,
        light_position=coefficients.light_position,
        light_strength=coefficients.light_strength,
        camera_position=camera.position,
        shininess=coefficients.shininess.mean(dim=-1, keepdim=True),
    )
    picture = normals.new_full((side, side, 3), ground)
    picture[inside] = srgb_from_linear(lit[0])
    return _shrunk(picture)


def studio_light() -> Float[Tensor, "9 3"]:
    """Harmonics of white light from the upper left front."""
    directions = torch.eye(3)[[1, 2, 0]]  # y, z, x: the order of band 1
    unit = torch.cat([sh_basis(directions)[:, :1].mean()[None], sh_basis(directions).diagonal(offset=1)])
    light = torch.zeros(9, 3)
    light[:4] = (torch.tensor(_STUDIO) / unit)[:, None]
    return light


def _shrunk(picture: Float[Tensor, "H W 3"]) -> Float[Tensor, "3 S S"]:
    return avg_pool2d(picture.permute(2, 0, 1)[None], SUPERSAMPLING)[0]
