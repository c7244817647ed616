"""Reconstructed faces as files for other programs, and as a 3D viewer that needs no network."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
import trimesh.viewer
from numpy.typing import NDArray

from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.light import srgb_from_linear

_MM_PER_M = 1000.0
_FIELD_OF_VIEW_DEGREES = 35.0
_VIEWER_DISTANCE_MM = 420.0
_VIEWER_BRIGHTNESS = 0.6  # trimesh's viewer has one bright lamp
_VIEWER_YAW = 0.35  # radians


@torch.no_grad()
def write_meshes(folder: Path, name: str, model: FaceModel, coefficients: Coefficients) -> None:
    """Write `<name>.glb`, `<name>.obj` and the viewer `<name>.html`: shape with expression, diffuse albedo as colours.

    The formats differ in what they expect: glTF metres and linear colours, OBJ (no rule) mm and sRGB. The viewer shows
    colours as they are and therefore gets sRGB.
    """
    vertices = model.vertices(coefficients.shape, coefficients.expression)[0].numpy()
    linear = model.albedos(coefficients.albedo).diffuse[0].clamp(0, 1)
    srgb = srgb_from_linear(linear).numpy()
    triangles = model.triangles.numpy()
    folder.mkdir(parents=True, exist_ok=True)
    _mesh(vertices / _MM_PER_M, triangles, linear.numpy()).export(folder / f"{name}.glb")
    coloured = trimesh.Trimesh(vertices, triangles, vertex_colors=np.round(srgb * 255).astype(np.uint8), process=False)
    coloured.export(folder / f"{name}.obj", include_normals=False, header=None)
    (folder / f"{name}.html").write_text(_viewer(_mesh(vertices, triangles, srgb, brightness=_VIEWER_BRIGHTNESS)))


def _viewer(mesh: Any) -> str:
    """A page with the mesh and all code to turn it inside; names are given, because trimesh's own are random."""
    scene = trimesh.Scene()
    scene.add_geometry(mesh, geom_name="face", node_name="face")
    scene.camera = trimesh.scene.Camera(name="camera", fov=(_FIELD_OF_VIEW_DEGREES,) * 2, resolution=(640, 640))
    scene.camera_transform = trimesh.transformations.rotation_matrix(_VIEWER_YAW, (0, 1, 0)) @ (
        trimesh.transformations.translation_matrix((0, 0, _VIEWER_DISTANCE_MM))
    )
    return str(trimesh.viewer.scene_to_html(scene))


def _mesh(
    vertices: NDArray[np.floating],
    triangles: NDArray[np.integer],
    colours: NDArray[np.floating],
    brightness: float = 1.0,
) -> Any:
    """A mesh of a material that is no metal, which glTF takes every mesh without material for."""
    rgba = np.concatenate([np.round(colours * 255), np.full((len(colours), 1), 255)], axis=1).astype(np.uint8)
    skin = trimesh.visual.material.PBRMaterial(
        name="skin",
        baseColorFactor=[brightness, brightness, brightness, 1.0],
        metallicFactor=0.0,
        roughnessFactor=0.7,
        doubleSided=True,
    )
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    mesh.visual = trimesh.visual.TextureVisuals(material=skin)
    mesh.visual.vertex_attributes["color"] = rgba
    _ = mesh.vertex_normals  # what is known is exported; without normals viewers draw facets
    return mesh
