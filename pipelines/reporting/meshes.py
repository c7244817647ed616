"""Reconstructed faces as files for other programs."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.light import srgb_from_linear

_MM_PER_M = 1000.0


@torch.no_grad()
def write_meshes(folder: Path, name: str, model: FaceModel, coefficients: Coefficients) -> None:
    """Write `<name>.glb` and `<name>.obj`: shape with expression, diffuse albedo as colours.

    The formats differ in what they expect: glTF metres and linear colours, OBJ (no rule) mm and sRGB.
    """
    vertices = model.vertices(coefficients.shape, coefficients.expression)[0].numpy()
    linear = model.albedos(coefficients.albedo).diffuse[0].clamp(0, 1)
    srgb = srgb_from_linear(linear).numpy()
    triangles = model.triangles.numpy()
    folder.mkdir(parents=True, exist_ok=True)
    _gltf_mesh(vertices / _MM_PER_M, triangles, linear.numpy()).export(folder / f"{name}.glb")
    coloured = trimesh.Trimesh(vertices, triangles, vertex_colors=np.round(srgb * 255).astype(np.uint8), process=False)
    coloured.export(folder / f"{name}.obj", include_normals=False, header=None)


def _gltf_mesh(vertices: NDArray[np.floating], triangles: NDArray[np.integer], colours: NDArray[np.floating]) -> Any:
    """A mesh of a material that is no metal, which glTF takes every mesh without material for."""
    rgba = np.concatenate([np.round(colours * 255), np.full((len(colours), 1), 255)], axis=1).astype(np.uint8)
    skin = trimesh.visual.material.PBRMaterial(name="skin", metallicFactor=0.0, roughnessFactor=0.7, doubleSided=True)
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    mesh.visual = trimesh.visual.TextureVisuals(material=skin)
    mesh.visual.vertex_attributes["color"] = rgba
    _ = mesh.vertex_normals  # what is known is exported; without normals viewers draw facets
    return mesh
