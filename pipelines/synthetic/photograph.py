"""Takes a photograph of a face and its head: picture, segments and landmarks."""

from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.camera import Camera, camera_from_model, clip_from_camera, pixel_from_clip
from models.light import diffuse_shading, specular_shading_of_lights, srgb_from_linear
from models.normals import vertex_normals
from models.rasterizer import interpolate, rasterize
from models.segments import SEGMENT_INDEX
from pipelines.synthetic.accessories import accessory_meshes, flattened
from pipelines.synthetic.background import background
from pipelines.synthetic.camera_noise import developed
from pipelines.synthetic.face import Face
from pipelines.synthetic.head import Head
from pipelines.synthetic.light import Light
from pipelines.synthetic.meshes import Array, Mesh, joined
from pipelines.synthetic.occluders import paint_occluder
from pipelines.synthetic.skull import back_of_head, seamless
from pipelines.synthetic.view import View

Pixel = TypeVar("Pixel", bound=np.generic)

_SUPERSAMPLING = 2
_VISIBLE_MM = 6.0  # a landmark this far behind what the picture shows there is hidden


class Photograph(NamedTuple):
    """A photograph and what it shows; everything in pixels of the picture."""

    picture: NDArray[np.uint8]  # (S, S, 3) sRGB
    segments: NDArray[np.uint8]  # (S, S) number in models.segments.SEGMENTS
    landmarks: Array  # (68, 2) x right, y down
    landmarks_visible: NDArray[np.bool_]  # (68,)
    mouth_open_px: float  # between the middles of the inner lips


class _Layers(NamedTuple):
    """A rendered scene before the background, at the supersampled size S."""

    linear: Array  # (S, S, 3)
    depth_mm: Array  # (S, S) towards the viewer, camera frame
    segments: NDArray[np.uint8]  # (S, S)
    covered: NDArray[np.bool_]  # (S, S)


def photograph(face: Face, head: Head, view: View, *, size: int) -> Photograph:
    """A photograph of `size` × `size` pixels of any face on a head.

    The face need not come from a face model: its vertices and colours are taken as they are. It is lit and projected
    exactly as `models` does with translation 0 and scale 1, by `view.camera`, then moved by `view.shift`.
    """
    scene = joined([face.mesh, *_surroundings(face, head, view)])
    layers = _render(scene, face, view, size * _SUPERSAMPLING)
    landmarks, depths = project(face.landmarks, view, size)
    behind = background(np.random.default_rng(view.background_seed), size)
    picture, hidden = paint_occluder(_composed(layers, behind), landmarks, view.occluder)
    segments = layers.segments[_SUPERSAMPLING // 2 :: _SUPERSAMPLING, _SUPERSAMPLING // 2 :: _SUPERSAMPLING]
    return Photograph(
        picture=developed(picture, view.sensor),
        segments=np.where(hidden, SEGMENT_INDEX["background"], segments).astype(np.uint8),
        landmarks=landmarks,
        landmarks_visible=_in_front(landmarks, depths, layers.depth_mm) & ~_at(landmarks, hidden),
        mouth_open_px=float(np.linalg.norm(landmarks[62] - landmarks[66])),
    )


def _surroundings(face: Face, head: Head, view: View) -> list[Mesh]:
    """Everything but the face; what `seamless` needs comes first."""
    hair = head.hair
    if view.accessories.hat:
        hair = tuple(flattened(mesh, head, view.accessories) for mesh in hair)
    worn = accessory_meshes(head, face.landmarks, view.accessories)
    return [back_of_head(face, head.frame, head.skin_rgb), *head.body, *hair, *worn]


def _composed(layers: _Layers, behind: Array) -> Array:
    """The picture (S, S, 3), sRGB in 0..1, at its final size, with smooth silhouettes before the background."""
    shown = np.zeros_like(layers.linear)
    shown[layers.covered] = srgb_from_linear(torch.from_numpy(layers.linear[layers.covered])).numpy()
    opacity = _shrunk(layers.covered[..., None].astype(np.float32))
    return _shrunk(shown) + (1 - opacity) * behind


def _shrunk(image: Array) -> Array:
    """Mean over the samples (S, S, C) of each pixel."""
    height, width, channels = image.shape
    samples = image.reshape(height // _SUPERSAMPLING, _SUPERSAMPLING, width // _SUPERSAMPLING, _SUPERSAMPLING, channels)
    shrunk: Array = (samples[:, 0] + samples[:, 1]).sum(axis=2) / _SUPERSAMPLING**2
    return shrunk


def project(points: Array, view: View, size: int) -> tuple[Array, Array]:
    """Pixels (N, 2) and depths towards the viewer in mm (N,) of points (N, 3) of the face model's frame."""
    posed = _pose(points, view)
    pixels = pixel_from_clip(_clip(posed, view), (size, size))
    return pixels[0].numpy(), posed[0, :, 2].numpy()


def _pose(points: Array, view: View) -> Tensor:
    angles = torch.from_numpy(view.euler_angles)[None]
    return camera_from_model(torch.from_numpy(points)[None], angles, torch.zeros(1, 3), torch.ones(1, 1))


def _clip(posed: Tensor, view: View) -> Tensor:
    """Clip coordinates with the picture moved over the scene: the optical axis need not hit its middle."""
    clip = clip_from_camera(posed, view.camera)
    return torch.cat([clip[..., :2] + 2 * clip.new_tensor(view.shift) * clip[..., 3:], clip[..., 2:]], dim=-1)


def _render(scene: Mesh, face: Face, view: View, size: int) -> _Layers:
    posed = _pose(scene.vertices, view)
    triangles = torch.from_numpy(scene.triangles)
    colours = _lit(scene, face, posed, view.light, view.camera)
    clip = _clip(posed, view)
    ids = rasterize(clip, triangles, (size, size))
    layers = interpolate(torch.cat([colours, posed[..., 2:]], dim=-1), clip, triangles, ids)[0].numpy()
    triangle = ids[0].numpy()
    covered = triangle >= 0
    segments = np.where(covered, scene.segments[triangle.clip(0)], SEGMENT_INDEX["background"]).astype(np.uint8)
    depth = np.where(covered, layers[..., 3], -np.inf).astype(np.float32)
    return _Layers(layers[..., :3], depth, segments, covered)


def _lit(scene: Mesh, face: Face, posed: Tensor, light: Light, camera: Camera) -> Tensor:
    """Lit colours (1, N, 3), linear RGB (Eqs. 4 and 5). What is not face is lit from both sides."""
    faces = len(face.mesh.vertices)
    surface = torch.from_numpy(face.mesh.triangles)
    others = torch.from_numpy(scene.triangles[len(surface) :] - faces)
    outward = vertex_normals(posed[:, faces:], others)
    towards_camera = posed.new_tensor(camera.position) - posed[:, faces:]
    turned = (outward * towards_camera).sum(dim=-1, keepdim=True) < 0
    of_face = vertex_normals(posed[:, :faces], surface)
    of_others = seamless(of_face, torch.where(turned, -outward, outward), torch.from_numpy(face.boundary))
    normals = torch.cat([of_face, of_others], dim=1)
    diffuse = diffuse_shading(
        torch.from_numpy(scene.diffuse)[None], normals, torch.from_numpy(light.sh_coefficients)[None]
    )
    specular = specular_shading_of_lights(
        torch.from_numpy(scene.specular)[None],
        normals,
        posed,
        light_position=torch.from_numpy(light.positions)[None],
        light_strength=torch.from_numpy(light.strengths)[None],
        camera_position=camera.position,
        shininess=torch.full((1, 1), light.shininess),
    )
    return diffuse + specular


def _in_front(landmarks: Array, depths: Array, surface_mm: Array) -> NDArray[np.bool_]:
    """Whether each landmark (68, 2) lies in the picture and no surface is in front of it."""
    size = len(surface_mm) / _SUPERSAMPLING
    inside = ((landmarks >= 0) & (landmarks < size)).all(axis=1)
    nearest = _at(landmarks * _SUPERSAMPLING, surface_mm) < depths + _VISIBLE_MM
    visible: NDArray[np.bool_] = inside & nearest
    return visible


def _at(points: Array, image: NDArray[Pixel]) -> NDArray[Pixel]:
    """Values of an image (S, S) at points (N, 2) in its pixels; those outside take the border's."""
    column, row = np.floor(points).astype(int).clip(0, len(image) - 1).T
    return image[row, column]
