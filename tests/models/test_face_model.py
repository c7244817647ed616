import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from models.face_model import FaceModel, FaceModelArrays
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
