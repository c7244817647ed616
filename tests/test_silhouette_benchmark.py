"""The meshes and the brute force that the benchmarks of outlines rest on are exact."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import mouth_mask, silhouette
from benchmarks.face_meshes import Mesh, cut_rim, face_mesh, halve_longest_edges, subdivide
from models.rasterizer import reference
from models.rasterizer.edges import triangle_neighbours
from tests.toy import toy_face_arrays


@pytest.mark.parametrize("count", [300, 700, 1500, 2600])
def test_faces_get_the_number_of_vertices_asked_for(count: int) -> None:
    mesh = face_mesh(toy_face_arrays(), count)
    assert len(mesh.vertices) == count and mesh.triangles.max() < count
    assert mesh.triangles.dtype == torch.int32


def test_halving_edges_keeps_the_surface_and_leaves_no_gap() -> None:
    arrays = toy_face_arrays()
    mesh = Mesh(torch.from_numpy(arrays.mean_shape), torch.from_numpy(arrays.triangles), "")
    border = (triangle_neighbours(mesh.triangles) < 0).sum()
    for count in (1, 2, 100, 10_000):
        finer = halve_longest_edges(mesh, count)
        normals = [_doubled_normals(one) for one in (mesh, finer)]
        assert torch.allclose(normals[0].norm(dim=1).sum(), normals[1].norm(dim=1).sum(), rtol=1e-5)
        assert torch.allclose(normals[0].sum(dim=0), normals[1].sum(dim=0), atol=1e-2)  # none is turned over
        added = (triangle_neighbours(finer.triangles) < 0).sum() - border
        assert 0 <= added <= border and (added == border or count < 10_000)
        assert len(finer.vertices) == len(mesh.vertices) + count or count == 10_000
        assert count < 100 or _longest_edge(finer) < 0.99 * _longest_edge(mesh)


def test_cut_rim_keeps_the_middle() -> None:
    arrays = toy_face_arrays()
    mesh = Mesh(torch.from_numpy(arrays.mean_shape), torch.from_numpy(arrays.triangles), "")
    kept = cut_rim(mesh, 200)
    assert kept.vertices.norm(dim=1).max() <= mesh.vertices.norm(dim=1).sort().values[200]
    assert len(_doubled_normals(kept)) > 200


def test_tiled_brute_force_is_the_brute_force() -> None:
    scene = silhouette.make_scene(face_mesh(toy_face_arrays(), 400), seed=1)
    for size in ((40, 40), (21, 35)):
        expected = reference.rasterize(scene.clip, scene.triangles, size)
        assert torch.equal(silhouette.exact_ids(scene, size), expected) and (expected >= 0).any()


def test_measured_errors_of_a_toy_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silhouette, "POSES", 1)
    monkeypatch.setattr(silhouette, "SAMPLES", 8)
    scene = silhouette.make_scene(face_mesh(toy_face_arrays(), 3000), seed=3, size=48)
    result = silhouette.measure(scene, seed=3, kinds=["mask", "noise"])
    assert result.errors["mask", "no operator"] == 1
    assert result.errors["mask", silhouette.OURS] < 0.1 < result.errors["mask", silhouette.COMPARED]
    assert 0 < result.found < 1
    assert ("noise", "micro-edges, not carried on") in result.errors


def test_a_mouth_drawn_with_more_samples_has_a_better_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silhouette, "POSES", 1)
    arrays = toy_face_arrays()
    opened = torch.from_numpy(arrays.mean_shape + np.float32(1.5) * arrays.expression_basis[0])
    mouth = Mesh(opened, torch.from_numpy(arrays.mouth_triangles), "")
    one, four = mouth_mask.errors(mouth, 96, [1, 4], "micro_edges", seed=2)
    assert four < 0.5 * one


def test_the_cost_of_a_mouth_is_measured_for_every_number_of_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = toy_face_arrays()
    patch = Mesh(torch.from_numpy(arrays.mean_shape), torch.from_numpy(arrays.mouth_triangles), "toy")
    monkeypatch.setattr(mouth_mask, "mouth_mesh", lambda *_: patch)
    costs = mouth_mask.costs(arrays, 48, [1, 2, 4], "micro_edges", rounds=1)
    assert len(costs) == 3 and all(math.isfinite(cost) and cost > 0 for cost in costs)


def test_cutting_every_triangle_in_four_keeps_the_surface() -> None:
    arrays = toy_face_arrays()
    mesh = Mesh(torch.from_numpy(arrays.mean_shape), torch.from_numpy(arrays.triangles), "")
    finer = subdivide(mesh)
    assert len(finer.triangles) == 4 * len(mesh.triangles)
    borders = [(triangle_neighbours(one.triangles) < 0).sum() for one in (mesh, finer)]
    assert borders[1] == 2 * borders[0]
    quarter = _doubled_normals(finer).norm(dim=1).view(4, -1) * 4
    assert torch.allclose(quarter, _doubled_normals(mesh).norm(dim=1).expand(4, -1), rtol=1e-2, atol=1e-3)


def _longest_edge(mesh: Mesh) -> float:
    corners = mesh.vertices[mesh.triangles.long()]
    return float((corners - corners.roll(1, dims=1)).norm(dim=-1).max())


def _doubled_normals(mesh: Mesh) -> Tensor:
    a, b, c = mesh.vertices[mesh.triangles.long()].unbind(dim=1)
    return torch.linalg.cross(b - a, c - a)
