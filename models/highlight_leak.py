"""How much of the true highlight stands in an estimated diffuse albedo: Fig. 3's point as a number."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from models.face_model import FaceModel
from models.normals import vertex_normals
from models.renderer import PosedFace

_LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear sRGB
_VISIBLE = 0.004  # linear luminance; about a step of an 8-bit photograph at the brightness of skin


def highlight_leak(
    estimated: Float[Tensor, "B V 3"],
    true: Float[Tensor, "B V 3"],
    highlight: Float[Tensor, "B V 3"],
    seen: Bool[Tensor, "B V"],
) -> Float[Tensor, "B"]:
    """Share k of the true highlight S in the estimated diffuse albedo A', of each face, over its `seen` vertices.

    k is the slope of S in the least squares A'_v = o + a A_v + k S_v + e_v, where A is the true diffuse albedo and all
    three are linear luminances. So k has no unit; it is zero for a right albedo, whatever its offset o and scale a, one
    where the whole highlight was taken for albedo, and negative where the albedo is too dark under the highlight. It
    is zero, too, where nothing can leak: no highlight is seen, or none that differs from the pattern of the albedo.
    """
    weights = estimated.new_tensor(_LUMINANCE).double()
    luminances = [colour.double() @ weights for colour in (estimated, true, highlight)]
    estimate, albedo, shine = (_centred(luminance, seen) for luminance in luminances)
    energy = albedo.square().sum(dim=-1, keepdim=True)
    share = (shine * albedo).sum(dim=-1, keepdim=True) / torch.where(energy > 0, energy, torch.ones_like(energy))
    rest = shine - share * albedo
    spread = rest.square().sum(dim=-1)
    clear = spread > _VISIBLE**2 * seen.sum(dim=-1)
    slope = (estimate * rest).sum(dim=-1) / torch.where(clear, spread, torch.ones_like(spread))
    return (slope * clear).to(estimated.dtype)


def facing(model: FaceModel, face: PosedFace, camera_position: tuple[float, float, float]) -> Bool[Tensor, "B V"]:
    """Which vertices look towards the camera."""
    normals = vertex_normals(face.points, model.triangles)
    towards = normalize(normals.new_tensor(camera_position) - face.points, dim=-1)
    return (normals * towards).sum(dim=-1) > 0


def _centred(values: Float[Tensor, "B V"], seen: Bool[Tensor, "B V"]) -> Float[Tensor, "B V"]:
    """Values less their mean over the seen vertices; zero elsewhere."""
    mean = (values * seen).sum(dim=-1, keepdim=True) / seen.sum(dim=-1, keepdim=True).clamp_min(1)
    return (values - mean) * seen
