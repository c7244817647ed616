"""Builds the whole embedded face model: mean face, identity, expression and albedo modes, landmarks."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.face_model import FaceModelArrays, Sampling
from pipelines.embedded_face.albedo import albedo_modes
from pipelines.embedded_face.details import with_details
from pipelines.embedded_face.expressions import expression_modes
from pipelines.embedded_face.geometry import Points
from pipelines.embedded_face.identity import identity_modes
from pipelines.embedded_face.landmarks import alignment_centre, landmark_vertices
from pipelines.embedded_face.mouth import mouth_patch
from pipelines.embedded_face.occlusion import ambient_occlusion
from pipelines.embedded_face.radial import RadialSurface
from pipelines.embedded_face.regions import soft_regions, vertex_segments
from pipelines.embedded_face.template import Part, Template, build_template
from pipelines.params import FaceModelParams

IDENTITY_MODES, EXPRESSION_MODES, ALBEDO_MODES = 199, 100, 145  # Sec. 3 of the paper


def mean_face() -> Template:
    """The mean face with all details, in the frame of `authored`."""
    surface = RadialSurface()
    return with_details(build_template(surface), surface)


def build_embedded_face(params: FaceModelParams) -> FaceModelArrays:
    """The face model as arrays; the same parameters give the same bytes.

    On one thread: sums of several threads round differently with their number, and these matrices are too small
    to gain.
    """
    with threadpool_limits(limits=1):
        return _build(params)


def _build(params: FaceModelParams) -> FaceModelArrays:
    template = mean_face()
    regions = soft_regions(template)
    landmarks = landmark_vertices(template, regions)
    expressions = expression_modes(template, regions, count=EXPRESSION_MODES)
    albedo = albedo_modes(
        template,
        regions,
        ambient_occlusion(template),
        count=ALBEDO_MODES,
        people=params.albedo_samples,
        seed=params.seed,
    )
    return FaceModelArrays(
        source="embedded",
        mean_shape=_single(template.vertices - alignment_centre(template.vertices, landmarks)),
        shape_basis=_single(identity_modes(template, regions, landmarks, count=IDENTITY_MODES)),
        expression_basis=_single(expressions.modes),
        mean_diffuse=albedo.mean_diffuse,
        diffuse_basis=albedo.diffuse,
        mean_specular=albedo.mean_specular,
        specular_basis=albedo.specular,
        triangles=template.triangles.astype(np.int32),
        mouth_triangles=mouth_patch(template.curves.mouth, template.mirror).astype(np.int32),
        landmark_vertices=landmarks.astype(np.int32),
        uv=_single(_texture_coordinates(template)),
        regions=vertex_segments(template, regions),
        sampling=Sampling(
            action_names=expressions.action_names,
            action_coefficients=_single(expressions.action_coefficients),
            albedo_bank=albedo.coefficients,
            hair_rgb=albedo.hair_rgb,
        ),
    )


def _single(array: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, dtype=np.float32)


def _texture_coordinates(template: Template) -> Points:
    """(u, v) in 0..1: the directions of the surface; the inside of the mouth has its own strip in a lower corner."""
    uv = template.directions.copy()
    low, high = uv.min(axis=0), uv.max(axis=0)
    uv = (uv - low) / (high - low)
    inside = template.is_part(Part.CAVITY, Part.UPPER_TEETH, Part.LOWER_TEETH)
    x, y, z = template.vertices[inside].T
    uv[inside] = np.column_stack([0.08 + 0.0025 * x, 0.05 + 0.003 * (y + 0.5 * z + 80)])
    return np.clip(uv, 0, 1)
