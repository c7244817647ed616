"""A reconstructed face in the viewer: full, diffuse, specular and shape, in the light of its photograph."""

import numpy as np
import torch

from models.camera import Camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.light import linear_from_srgb
from models.renderer import pose_face
from pipelines import studio
from pipelines.reporting.viewer.document import Layer, Scene, packed_light, packed_studio_light
from pipelines.reporting.viewer.packing import (
    Json,
    packed_choices,
    packed_colours,
    packed_numbers,
    packed_points,
    packed_triangles,
)

_DIFFUSE, _SPECULAR, _CLAY = range(3)
_PHOTOGRAPH, _STUDIO = range(2)
_CLAY_ALBEDO = 0.55  # as in the figures
_BLACK = (0.0, 0.0, 0.0)
_LAYERS = [
    Layer("full", _PHOTOGRAPH, _DIFFUSE, _SPECULAR, patch_behind=True),
    Layer("diffuse", _PHOTOGRAPH, _DIFFUSE, patch_behind=True),
    Layer("specular", _PHOTOGRAPH, None, _SPECULAR, patch_rgb=_BLACK, patch_behind=True),
    Layer("shape", _STUDIO, _CLAY),
]


@torch.no_grad()
def face_scene(title: str, model: FaceModel, coefficients: Coefficients, camera: Camera) -> Scene:
    """The scene of one face (a batch of one), seen first as in its photograph."""
    points = pose_face(model, coefficients, camera).points[0].numpy()
    albedos = model.albedos(coefficients.albedo)
    mesh = {
        "points": packed_points(points),
        "triangles": packed_triangles(model.triangles.numpy()),
        "patch": packed_triangles(model.mouth_triangles.numpy()),
    }
    light = packed_light(
        coefficients.sh_coefficients[0],
        coefficients.light_position[0],
        coefficients.light_strength[0],
        shininess=float(coefficients.shininess.mean()),
    )
    return Scene(
        title=title,
        mesh=mesh,
        colours=[packed_colours(albedos.diffuse[0].numpy()), packed_colours(albedos.specular[0].numpy()), _clay(model)],
        lights=[light, packed_studio_light()],
        layers=_LAYERS,
        gloss=_gloss(model, coefficients),
    )


def _clay(model: FaceModel) -> Json:
    """Grey, and dark inside the mouth."""
    grey = np.full(3, _CLAY_ALBEDO)
    mouth = linear_from_srgb(torch.tensor(studio.MOUTH_RGB)).numpy()
    return packed_choices(model.region_mask("inner_mouth").numpy().astype(np.uint8), np.stack([grey, mouth]))


def _gloss(model: FaceModel, coefficients: Coefficients) -> Json | None:
    """Shininess of each vertex over the mean of its regions, where a face has more than one."""
    if coefficients.shininess.shape[1] == 1:
        return None
    of_vertices = model.shininess_of_vertices(coefficients.shininess)[0]
    return packed_numbers((of_vertices / coefficients.shininess.mean()).numpy())
