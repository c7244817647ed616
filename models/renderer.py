"""From coefficients to pictures: diffuse, specular, projected face area and inner mouth, differentiable."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.camera import Camera, camera_from_model, clip_from_camera, pixel_from_clip
from models.coefficients import Coefficients
from models.face_model import FaceModel, vertex_normals
from models.light import diffuse_shading, specular_shading_of_lights, srgb_from_linear
from models.rasterizer import coverage, edge_gradient, interpolate, rasterize


class PosedFace(NamedTuple):
    """A face in front of the camera, before it becomes a picture."""

    points: Float[Tensor, "B V 3"]  # mm, camera frame
    clip: Float[Tensor, "B V 4"]
    lit_diffuse: Float[Tensor, "B V 3"]  # linear RGB, Eq. 4
    lit_specular: Float[Tensor, "B V 3"]  # linear RGB, Eq. 5


class Rendering(NamedTuple):
    """Pictures of a face on black, linear RGB, and where the face and its inner mouth lie."""

    diffuse: Float[Tensor, "B 3 H W"]  # I_r_diffuse before gamma
    specular: Float[Tensor, "B 3 H W"]  # I_r_specular before gamma
    coverage: Float[Tensor, "B 1 H W"]  # I_project: 1 where the face is
    mouth: Float[Tensor, "B 1 H W"]  # A^p of Eq. 11: 1 where the inner-mouth patch is, differentiable at its border


def pose_face(model: FaceModel, coefficients: Coefficients, camera: Camera) -> PosedFace:
    """Shape, pose and light a face (Eqs. 1 to 5)."""
    vertices = model.vertices(coefficients.shape, coefficients.expression)
    albedos = model.albedos(coefficients.albedo)
    points = camera_from_model(vertices, coefficients.euler_angles, coefficients.translation, coefficients.scale)
    normals = vertex_normals(points, model.triangles)
    return PosedFace(
        points=points,
        clip=clip_from_camera(points, camera),
        lit_diffuse=diffuse_shading(albedos.diffuse, normals, coefficients.sh_coefficients),
        lit_specular=specular_shading_of_lights(
            albedos.specular,
            normals,
            points,
            light_position=coefficients.light_position,
            light_strength=coefficients.light_strength,
            camera_position=camera.position,
            shininess=model.shininess_of_vertices(coefficients.shininess),
        ),
    )


def landmark_pixels(model: FaceModel, face: PosedFace, size: int) -> Float[Tensor, "B 68 2"]:
    """Where the 68 landmarks fall in a picture of `size` × `size` pixels."""
    return pixel_from_clip(model.landmarks(face.clip), (size, size))


def render(model: FaceModel, face: PosedFace, size: int) -> Rendering:
    """Pictures of `size` × `size` pixels of a posed and lit face."""
    ids = rasterize(face.clip, model.triangles, (size, size))
    colours = torch.cat([face.lit_diffuse, face.lit_specular], dim=-1)
    picture = interpolate(colours, face.clip, model.triangles, ids).permute(0, 3, 1, 2)
    return Rendering(
        diffuse=picture[:, :3],
        specular=picture[:, 3:],
        coverage=coverage(ids).permute(0, 3, 1, 2),
        mouth=_mask_of(face.clip, model.mouth_triangles, size),
    )


def _mask_of(clip: Float[Tensor, "B V 4"], triangles: Int[Tensor, "M 3"], size: int) -> Float[Tensor, "B 1 H W"]:
    """Area of a patch drawn on its own, so that its border is a silhouette with a gradient."""
    ids = rasterize(clip, triangles, (size, size))
    return edge_gradient(coverage(ids), clip, triangles, ids, occlusion=False).permute(0, 3, 1, 2)


def render_face(model: FaceModel, coefficients: Coefficients, camera: Camera, size: int) -> Rendering:
    """Pictures of the face that coefficients describe."""
    return render(model, pose_face(model, coefficients, camera), size)


def diffuse_picture(rendering: Rendering) -> Float[Tensor, "B 3 H W"]:
    """The diffuse part alone, sRGB in 0..1."""
    return srgb_from_linear(rendering.diffuse)


def specular_picture(rendering: Rendering) -> Float[Tensor, "B 3 H W"]:
    """The specular part alone, sRGB in 0..1."""
    return srgb_from_linear(rendering.specular)


def full_picture(rendering: Rendering) -> Float[Tensor, "B 3 H W"]:
    """Diffuse plus specular, sRGB in 0..1."""
    return srgb_from_linear(rendering.diffuse + rendering.specular)
