"""From coefficients to pictures: diffuse, specular, projected face area and inner mouth, differentiable."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d

from models.camera import Camera, camera_from_model, clip_from_camera, pixel_from_clip
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.light import srgb_from_linear
from models.normals import vertex_normals
from models.rasterizer import EdgeMethod, coverage, edge_gradient, interpolate, rasterize
from models.shading import lit_colours


class PosedFace(NamedTuple):
    """A face in front of the camera, before it becomes a picture."""

    points: Float[Tensor, "B V 3"]  # mm, camera frame
    clip: Float[Tensor, "B V 4"]
    lit: Float[Tensor, "B V 6"]  # linear RGB of both parts beside one another

    @property
    def lit_diffuse(self) -> Float[Tensor, "B V 3"]:
        """Linear RGB, Eq. 4."""
        return self.lit[..., :3]

    @property
    def lit_specular(self) -> Float[Tensor, "B V 3"]:
        """Linear RGB, Eq. 5."""
        return self.lit[..., 3:]


class Rendering(NamedTuple):
    """Pictures of a face on black, linear RGB, and where the face and its inner mouth lie."""

    diffuse: Float[Tensor, "B 3 H W"]  # I_r_diffuse before gamma
    specular: Float[Tensor, "B 3 H W"]  # I_r_specular before gamma
    coverage: Float[Tensor, "B 1 H W"]  # I_project: 1 where the face is
    mouth: Float[Tensor, "B 1 H W"]  # A^p of Eq. 11: how much of a pixel the inner mouth covers, differentiable


def pose_face(model: FaceModel, coefficients: Coefficients, camera: Camera) -> PosedFace:
    """Shape, pose and light a face (Eqs. 1 to 5)."""
    vertices = model.vertices(coefficients.shape, coefficients.expression)
    points = camera_from_model(vertices, coefficients.euler_angles, coefficients.translation, coefficients.scale)
    lit = lit_colours(
        model.both_albedos(coefficients.albedo),
        vertex_normals(points, model.triangles),
        points,
        coefficients.sh_coefficients,
        coefficients.light_position,
        coefficients.light_strength,
        camera.position,
        model.shininess_of_vertices(coefficients.shininess),
    )
    return PosedFace(points, clip_from_camera(points, camera), lit)


def landmark_pixels(model: FaceModel, face: PosedFace, size: int) -> Float[Tensor, "B 68 2"]:
    """Where the 68 landmarks fall in a picture of `size` × `size` pixels."""
    return pixel_from_clip(model.landmarks(face.clip), (size, size))


def render(
    model: FaceModel, face: PosedFace, size: int, *, mouth_samples: int = 1, edge_method: EdgeMethod = "micro_edges"
) -> Rendering:
    """Pictures of `size` × `size` pixels of a posed and lit face.

    With one mouth sample a pixel, the inner mouth is there or not; training wants more of them (`patch_mask`).
    On a GPU the mouth is looked for in a window of half the picture's side, twice as wide as a wide open one.
    """
    ids = rasterize(face.clip, model.triangles, (size, size))
    picture = interpolate(face.lit, face.clip, model.triangles, ids).permute(0, 3, 1, 2)
    diffuse, specular = picture.contiguous().split(3, dim=1)  # as what follows is fastest
    return Rendering(
        diffuse=diffuse,
        specular=specular,
        coverage=coverage(ids).permute(0, 3, 1, 2),
        mouth=patch_mask(
            face.clip[:, model.mouth_vertices],
            model.mouth_corners,
            size,
            samples=mouth_samples,
            method=edge_method,
            window_side=size // 2 if face.clip.is_cuda else None,
        ),
    )


def patch_mask(
    clip: Float[Tensor, "B V 4"],
    triangles: Int[Tensor, "M 3"],
    size: int,
    *,
    samples: int,
    method: EdgeMethod = "micro_edges",
    window_side: int | None = None,
) -> Float[Tensor, "B 1 H W"]:
    """How much of each pixel a patch covers, drawn alone, so that its border is a silhouette with a gradient.

    `clip` holds the vertices of the patch and no others. A pixel is the mean of `samples` × `samples` smaller ones. The
    gradient comes from these, so more samples make it more exact as well: an inner mouth is only a few pixels high.

    Only a window around the patch is drawn, of one size for the whole batch but in its own place in each picture: the
    mouth fills a small part of the picture, and the window pays for the samples. Without `window_side`, in pixels, it
    is as large as the patch, which a GPU would have to tell the host, and wait. With it, nothing leaves the device,
    and what lies outside of a square window around the middle of a larger patch is not drawn.
    """
    if samples < 1:
        raise ValueError(f"expected at least one sample per pixel and direction, got {samples}")
    mask = clip.new_zeros(len(clip), 1, size, size)
    if not clip.numel():
        return mask
    first, (height, width) = _windows(clip.detach(), size, window_side)
    span = torch.stack([clip.new_full((), width), clip.new_full((), height)])
    shift = (size - 2 * first) / span - 1  # (B, 2)
    moved = torch.cat([clip[..., :2] * (size / span) + clip[..., 3:] * shift[:, None], clip[..., 2:]], dim=-1)
    ids = rasterize(moved, triangles, (height * samples, width * samples))
    fine = edge_gradient(coverage(ids), moved, triangles, ids, occlusion=False, method=method)
    window = avg_pool2d(fine.permute(0, 3, 1, 2), samples)
    pictures = torch.arange(len(clip), device=clip.device)[:, None, None]
    columns = first[:, 0, None] + torch.arange(width, device=clip.device)
    rows = first[:, 1, None] + torch.arange(height, device=clip.device)
    mask[pictures, 0, rows[:, :, None], columns[:, None]] = window[:, 0].to(clip.dtype)
    return mask


def _windows(clip: Float[Tensor, "B M 4"], size: int, side: int | None) -> tuple[Int[Tensor, "B 2"], tuple[int, int]]:
    """First column and row of a window around the points in each picture; and height and width of all windows.

    One pixel wider than the points on each side, so that every outline lies inside, and never beyond the picture.
    With a side, square, with the points in the middle as far as the picture allows.
    """
    pixels = ((clip[..., :2] / clip[..., 3:] + 1) * (0.5 * size)).nan_to_num()
    first = (pixels.amin(dim=1).floor() - 1).clamp(0, size - 1).long()
    last = (pixels.amax(dim=1).ceil() + 1).clamp(1, size).long()
    if side is not None:
        side = min(side, size)
        return ((first + last - side) // 2).clamp(0, size - side), (side, side)
    width, height = (last - first).clamp_min(1).amax(dim=0).tolist()
    return torch.minimum(first, size - first.new_tensor([width, height])), (height, width)


def render_face(
    model: FaceModel,
    coefficients: Coefficients,
    camera: Camera,
    size: int,
    *,
    mouth_samples: int = 1,
    edge_method: EdgeMethod = "micro_edges",
) -> Rendering:
    """Pictures of the face that coefficients describe; see `render`."""
    face = pose_face(model, coefficients, camera)
    return render(model, face, size, mouth_samples=mouth_samples, edge_method=edge_method)


def diffuse_picture(rendering: Rendering) -> Float[Tensor, "B 3 H W"]:
    """The diffuse part alone, sRGB in 0..1."""
    return srgb_from_linear(rendering.diffuse)


def specular_picture(rendering: Rendering) -> Float[Tensor, "B 3 H W"]:
    """The specular part alone, sRGB in 0..1."""
    return srgb_from_linear(rendering.specular)


def full_picture(rendering: Rendering) -> Float[Tensor, "B 3 H W"]:
    """Diffuse plus specular, sRGB in 0..1."""
    return srgb_from_linear(rendering.diffuse + rendering.specular)
