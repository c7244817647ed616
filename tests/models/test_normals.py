from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from models.normals import plain_vertex_normals, vertex_normals
from models.segments import SEGMENT_INDEX
from tests.toy import toy_face_arrays


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


def test_normals_of_the_toy_face_look_outward() -> None:
    arrays = toy_face_arrays()
    vertices = torch.from_numpy(arrays.mean_shape)[None]
    normals = vertex_normals(vertices, torch.from_numpy(arrays.triangles))[0].numpy()
    outside = arrays.regions != SEGMENT_INDEX["inner_mouth"]  # the two halves of the wall in a closed mouth cancel
    assert (normals[outside, 2] > 0).mean() > 0.99
    np.testing.assert_allclose(np.linalg.norm(normals[outside], axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("normals_of", [vertex_normals, plain_vertex_normals])
def test_normals_have_a_gradient(normals_of: Callable[[Tensor, Tensor], Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3], [1, 4, 2]], dtype=torch.int32)
    assert torch.autograd.gradcheck(lambda v: normals_of(v, triangles), [vertices])


def test_compiled_normals_are_those_of_plain_operations() -> None:
    arrays = toy_face_arrays()
    generator = torch.Generator().manual_seed(0)
    mean, triangles = torch.from_numpy(arrays.mean_shape), torch.from_numpy(arrays.triangles)
    meshes = (mean + torch.randn(3, *mean.shape, generator=generator)).requires_grad_()
    direction = torch.randn(meshes.shape, generator=generator)
    compiled, plain = vertex_normals(meshes, triangles), plain_vertex_normals(meshes, triangles)
    torch.testing.assert_close(compiled, plain)
    (first,) = torch.autograd.grad(compiled, meshes, direction)
    (second,) = torch.autograd.grad(plain, meshes, direction)
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4 * float(second.abs().max()))


def test_normals_depend_neither_on_threads_nor_on_the_split_of_a_batch() -> None:
    arrays = toy_face_arrays()
    mean, triangles = torch.from_numpy(arrays.mean_shape), torch.from_numpy(arrays.triangles)
    meshes = mean + torch.randn(3, *mean.shape, generator=torch.Generator().manual_seed(0))
    together = vertex_normals(meshes, triangles)
    assert torch.equal(together[2], vertex_normals(meshes[2:], triangles)[0])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(before, 2))
        assert torch.equal(together, vertex_normals(meshes, triangles))
    finally:
        torch.set_num_threads(before)


def test_meshes_laid_out_otherwise_have_the_same_normals() -> None:
    arrays = toy_face_arrays()
    mesh, triangles = torch.from_numpy(arrays.mean_shape)[None], torch.from_numpy(arrays.triangles)
    columns = mesh.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(vertex_normals(columns, triangles), vertex_normals(mesh, triangles))


def test_triangles_of_another_mesh_are_refused() -> None:
    with pytest.raises(ValueError, match="vertices 0 to 5, there are 5"):
        vertex_normals(torch.zeros(1, 5, 3), torch.tensor([[0, 1, 5]]))
