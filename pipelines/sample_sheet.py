"""What the regressor makes of some photographs, for people who watch a training."""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from models.camera import Camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.renderer import Rendering, diffuse_picture, full_picture, pose_face, specular_picture
from pipelines.pictures import side_by_side
from pipelines.studio import BLACK, clay_face, light_on_sphere

SHEET_FACES = 4


@torch.no_grad()
def sample_sheet(
    photographs: Float[Tensor, "B 3 S S"],
    coefficients: Coefficients,
    rendering: Rendering,
    model: FaceModel,
    camera: Camera,
) -> NDArray[np.uint8]:
    """A row for each of the first faces: photograph, full, diffuse and specular picture, shape, light on a sphere."""
    size = photographs.shape[-1]
    shapes, lights = [], []
    for number in range(min(SHEET_FACES, len(photographs))):
        face = Coefficients(*(group[number : number + 1] for group in coefficients))
        points = pose_face(model, face, camera).points[0]
        shapes.append(clay_face(model, points, camera, size, ground=BLACK))
        lights.append(light_on_sphere(face, camera, size, ground=BLACK))
    columns = [photographs, full_picture(rendering), diffuse_picture(rendering), specular_picture(rendering)]
    return side_by_side([*(column[:SHEET_FACES] for column in columns), torch.stack(shapes), torch.stack(lights)])
