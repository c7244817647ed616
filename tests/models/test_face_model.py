import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from models.face_model import FaceModel, FaceModelArrays, vertex_normals
from models.segments import SEGMENT_INDEX
from tests.toy import toy_face_arrays


@pytest.fixture(scope="module")
def arrays() -> FaceModelArrays:
    return toy_face_arrays()


@pytest.fixture(scope="module")
def model(arrays: FaceModelArrays) -> FaceModel:
    return FaceModel(arrays)


def _coefficients(size: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(size))


def test_eq01_adds_every_mode_to_the_mean(arrays: FaceModelArrays, model: FaceModel) -> None:
    shape, expression = _coefficients(6), _coefficients(5)
    vertices = model.vertices(shape, expression)
    for face in range(2):
        for vertex in (0, 77, len(arrays.mean_shape) - 1):
            expected = arrays.mean_shape[vertex].astype(np.float64).copy()
            for mode in range(6):
                expected += shape[face, mode].item() * arrays.shape_basis[mode, vertex]
            for mode in range(5):
                expected += expression[face, mode].item() * arrays.expression_basis[mode, vertex]
            np.testing.assert_allclose(vertices[face, vertex].numpy(), expected, atol=1e-4)  # mm, float32 sums


def test_eq02_one_vector_drives_both_albedos(arrays: FaceModelArrays, model: FaceModel) -> None:
    albedo = _coefficients(4)
    result = model.albedos(albedo)
    for face, vertex in ((0, 3), (1, 250)):
        diffuse, specular = arrays.mean_diffuse[vertex].copy(), arrays.mean_specular[vertex].copy()
        for mode in range(4):
            diffuse += albedo[face, mode].item() * arrays.diffuse_basis[mode, vertex]
            specular += albedo[face, mode].item() * arrays.specular_basis[mode, vertex]
        np.testing.assert_allclose(result.diffuse[face, vertex].numpy(), diffuse, atol=1e-6)
        np.testing.assert_allclose(result.specular[face, vertex].numpy(), specular, atol=1e-6)


def test_zero_coefficients_are_the_mean(arrays: FaceModelArrays, model: FaceModel) -> None:
    vertices = model.vertices(torch.zeros(1, 6), torch.zeros(1, 5))
    np.testing.assert_array_equal(vertices[0].numpy(), arrays.mean_shape)


def test_shape_and_albedo_have_a_gradient(model: FaceModel) -> None:
    double = FaceModel(model.arrays).double()
    vertices = [_coefficients(size, 1).double().requires_grad_() for size in (6, 5)]
    assert torch.autograd.gradcheck(lambda *c: double.vertices(*c)[:, ::60], vertices)
    albedo = _coefficients(4, 1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda c: tuple(part[:, ::60] for part in double.albedos(c)), [albedo])


def test_sizes_are_those_of_the_bases(model: FaceModel) -> None:
    assert (model.shape_size, model.expression_size, model.albedo_size) == (6, 5, 4)


def test_landmarks_are_the_listed_vertices(arrays: FaceModelArrays, model: FaceModel) -> None:
    vertices = torch.arange(len(arrays.mean_shape) * 2.0).reshape(1, -1, 2)
    np.testing.assert_array_equal(model.landmarks(vertices)[0, :, 0].numpy(), 2.0 * arrays.landmark_vertices)


def test_region_mask_joins_the_named_segments(arrays: FaceModelArrays, model: FaceModel) -> None:
    expected = (arrays.regions == 1) | (arrays.regions == 4)
    np.testing.assert_array_equal(model.region_mask("skin", "nose").numpy(), expected)


@pytest.mark.parametrize("name", ["mean_diffuse", "mean_specular", "uv", "regions"])
def test_arrays_of_another_topology_are_refused(arrays: FaceModelArrays, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} has .* vertices, mean_shape has"):
        dataclasses.replace(arrays, **{name: getattr(arrays, name)[:-1]})


@pytest.mark.parametrize("name", ["shape_basis", "expression_basis", "diffuse_basis", "specular_basis"])
def test_bases_of_another_topology_are_refused(arrays: FaceModelArrays, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} has .* vertices, mean_shape has"):
        dataclasses.replace(arrays, **{name: getattr(arrays, name)[:, :-1]})


def test_albedo_bases_of_different_length_are_refused(arrays: FaceModelArrays) -> None:
    with pytest.raises(ValueError, match="4 diffuse and 3 specular modes"):
        dataclasses.replace(arrays, specular_basis=arrays.specular_basis[:3])


def test_five_landmarks_are_refused(arrays: FaceModelArrays) -> None:
    with pytest.raises(ValueError, match="expected 68 landmarks, got 5"):
        dataclasses.replace(arrays, landmark_vertices=arrays.landmark_vertices[:5])


@pytest.mark.parametrize("name", ["triangles", "mouth_triangles", "landmark_vertices"])
@pytest.mark.parametrize("index", [-1, 100_000])
def test_indices_outside_the_vertices_are_refused(arrays: FaceModelArrays, name: str, index: int) -> None:
    indices = getattr(arrays, name).copy()
    indices.flat[-1] = index
    with pytest.raises(ValueError, match=f"{name} points outside"):
        dataclasses.replace(arrays, **{name: indices})


@pytest.mark.parametrize("name", ["triangles", "mouth_triangles"])
def test_a_model_without_triangles_is_refused(arrays: FaceModelArrays, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is empty"):
        dataclasses.replace(arrays, **{name: getattr(arrays, name)[:0]})


@pytest.mark.parametrize("name", ["mean_shape", "uv", "shape_basis", "specular_basis"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(arrays: FaceModelArrays, name: str, value: float) -> None:
    broken: Any = getattr(arrays, name).copy()
    broken[-1, -1] = value  # in the last mode of a basis, not in the first
    with pytest.raises(ValueError, match=f"{name} contains NaN or infinity"):
        dataclasses.replace(arrays, **{name: broken})


def test_normals_of_a_cube_point_along_its_diagonals() -> None:
    corners = torch.tensor([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    # Each side as four triangles around its centre, so that all corners get the same weight from it.
    centres = torch.stack([corners[list(quad)].mean(dim=0) for quad in quads])
    triangles = [(quad[i], quad[(i + 1) % 4], 8 + side) for side, quad in enumerate(quads) for i in range(4)]
    vertices = torch.cat([corners, centres])
    normals = vertex_normals(vertices[None], torch.tensor(triangles, dtype=torch.int32))[0]
    torch.testing.assert_close(normals, vertices / vertices.norm(dim=-1, keepdim=True))


def test_larger_triangles_weigh_more() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 3]])
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)  # doubled areas 1 along z and 3 along x
    normal = vertex_normals(vertices[None], triangles)[0, 0]
    torch.testing.assert_close(normal, torch.tensor([3.0, 0, 1]) / 10**0.5)


def test_a_vertex_without_area_has_no_normal_and_a_small_gradient() -> None:
    vertices = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 5, 5]]], requires_grad=True)
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2]], dtype=torch.int32))
    assert (normals == 0).all()
    normals.sum().backward()
    assert vertices.grad is not None and vertices.grad.abs().max() < 100


def test_normals_of_the_toy_face_look_outward(arrays: FaceModelArrays, model: FaceModel) -> None:
    vertices = model.vertices(torch.zeros(1, 6), torch.zeros(1, 5))
    normals = vertex_normals(vertices, model.triangles)[0].numpy()
    outside = arrays.regions != SEGMENT_INDEX["inner_mouth"]  # the two halves of the wall in a closed mouth cancel
    assert (normals[outside, 2] > 0).mean() > 0.99
    np.testing.assert_allclose(np.linalg.norm(normals[outside], axis=1), 1, atol=1e-5)


def test_normals_have_a_gradient(model: FaceModel) -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(1, 5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3], [1, 4, 2]], dtype=torch.int32)
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, triangles), [vertices])
