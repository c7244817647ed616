"""Parts, rims and closest points of triangle meshes, by hand and against a search through every triangle."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.surface import Surface, closest_on_surface, on_rim, surface_from_mesh

TRIANGLE = surface_from_mesh(np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]]), np.array([[0, 1, 2]]))


def wavy(seed: int = 0) -> Surface:
    """A sheet of 12 × 12 vertices at uneven places."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(12.0), np.arange(12.0))
    points = np.stack([x, y, np.sin(x) + np.cos(0.7 * y)], axis=-1).reshape(-1, 3)
    points += rng.normal(scale=0.15, size=(144, 3))
    index = np.arange(144).reshape(12, 12)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    return surface_from_mesh(points, np.concatenate([np.stack([a, b, c], axis=1), np.stack([b, d, c], axis=1)]))


@pytest.mark.parametrize(
    ("point", "closest"),
    [
        ([1, 1, 3], [1, 1, 0]),  # above the inside
        ([2, -5, 1], [2, 0, 0]),  # beside an edge
        ([4, 4, 0], [2, 2, 0]),  # beside the long edge
        ([-1, -1, -1], [0, 0, 0]),  # at a corner
        ([9, -3, 0], [4, 0, 0]),
    ],
)
def test_the_closest_point_of_a_triangle_by_hand(point: list[float], closest: list[float]) -> None:
    np.testing.assert_allclose(closest_on_surface(np.array([point], float), TRIANGLE), [closest], atol=1e-12)


def test_closest_points_are_those_of_a_search_through_every_triangle() -> None:
    surface, points = wavy(), np.random.default_rng(1).uniform([0, 0, -2], [11, 11, 2], size=(300, 3))
    found = np.linalg.norm(closest_on_surface(points, surface) - points, axis=1)
    np.testing.assert_allclose(found, [nearest_sample(point, surface) for point in points], atol=0.03)
    everywhere = [closest_on_surface(points, surface._replace(triangles=one[None])) for one in surface.triangles]
    exact = np.linalg.norm(np.array(everywhere) - points, axis=2).min(axis=0)
    np.testing.assert_allclose(found, exact, atol=1e-9)


def nearest_sample(point: NDArray[np.float64], surface: Surface) -> float:
    """Distance to a dense raster of points on all triangles."""
    u, v = np.meshgrid(np.linspace(0, 1, 25), np.linspace(0, 1, 25))
    u, v = u[u + v <= 1 + 1e-9], v[u + v <= 1 + 1e-9]
    a, b, c = surface.points[surface.triangles].transpose(1, 0, 2)[:, :, None]
    return float(np.linalg.norm(a + u[:, None] * (b - a) + v[:, None] * (c - a) - point, axis=2).min())


def test_the_rim_of_a_sheet_is_its_outline() -> None:
    rim = on_rim(wavy()).reshape(12, 12)
    assert rim[0].all() and rim[-1].all() and rim[:, 0].all() and rim[:, -1].all()
    assert not rim[1:-1, 1:-1].any()


def test_a_part_keeps_its_points_and_whole_triangles_under_new_numbers() -> None:
    kept = np.ones(144, bool)
    kept[[0, 40]] = False
    part = wavy().part(kept)
    assert len(part.points) == 142 and len(part.triangles) == 242 - 1 - 6
    corners = {tuple(map(tuple, corners)) for corners in wavy().points[wavy().triangles]}
    assert {tuple(map(tuple, one)) for one in part.points[part.triangles]} <= corners


def test_vertices_without_a_triangle_of_some_area_are_left_out() -> None:
    vertices = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0], [9, 9, 9], [1, 1, 1], [2, 2, 2], [3, 3, 3]])
    surface = surface_from_mesh(vertices, np.array([[0, 1, 2], [4, 5, 6]]))
    np.testing.assert_array_equal(surface.points, vertices[:3])
    np.testing.assert_array_equal(surface.triangles, [[0, 1, 2]])
