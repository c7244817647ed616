"""Rims, cuts, ways along edges and the closing of a hole, on grids and polygons whose answers can be counted."""

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from pipelines.synthetic.meshes import grid_triangles
from pipelines.topology import Indices, Points, Triangles, edges, filled, kept_vertices, path_through, rims
from tests.toy import toy_face_arrays

_SIDE = 5  # vertices of the square grid in a row; number = 5 · row + column


def _grid(side: int = _SIDE) -> tuple[Points, Triangles]:
    row, column = (axis.ravel() for axis in np.mgrid[:side, :side])
    return np.stack([column, -row, np.zeros_like(row)], axis=1).astype(float), grid_triangles(side, side, closed=False)


def _sides(loop: Indices) -> set[frozenset[int]]:
    return {frozenset(pair) for pair in zip(loop.tolist(), np.roll(loop, -1).tolist(), strict=True)}


def _areas(vertices: Points, triangles: Triangles) -> NDArray[np.float64]:
    """Signed areas (F,), positive where a triangle faces +z."""
    a, b, c = (vertices[triangles[:, corner], :2].astype(float) for corner in range(3))
    (x1, y1), (x2, y2) = (b - a).T, (c - a).T
    return np.asarray((x1 * y2 - y1 * x2) / 2)


def test_edges_name_each_side_of_each_triangle_from_the_smaller_index() -> None:
    assert edges(np.array([[2, 0, 1]])).tolist() == [[0, 2], [0, 1], [1, 2]]


def test_a_closed_mesh_has_no_rim() -> None:
    assert rims(trimesh.creation.icosphere(subdivisions=1).faces) == []


def test_rims_of_a_grid_with_a_hole() -> None:
    _, triangles = _grid()
    holed = triangles[~(triangles == 12).any(axis=1)]
    hole, outer = sorted(rims(holed), key=len)
    assert _sides(hole) == {frozenset(pair) for pair in [(7, 8), (8, 13), (13, 17), (17, 16), (16, 11), (11, 7)]}
    clockwise = [0, 1, 2, 3, 4, 9, 14, 19, 24, 23, 22, 21, 20, 15, 10, 5]
    assert _sides(outer) == _sides(np.array(clockwise))
    assert len(outer) == len(clockwise)


def test_rims_that_touch_at_a_vertex_come_apart() -> None:
    _, triangles = _grid(7)
    holed = triangles[~(np.isin(triangles, [16, 30])).any(axis=1)]  # the rings around 16 and 30 share vertex 23
    found = rims(holed)
    assert sorted(len(rim) for rim in found) == [6, 6, 24]
    assert sum(23 in rim for rim in found) == 2
    boundary = {frozenset(side) for rim in found for side in _sides(rim)}
    assert boundary == _boundary_by_trimesh(holed)
    assert all(len(set(rim.tolist())) == len(rim) for rim in found)


def _boundary_by_trimesh(triangles: Triangles) -> set[frozenset[int]]:
    mesh = trimesh.Trimesh(np.zeros((triangles.max() + 1, 3)), triangles, process=False)
    alone = trimesh.grouping.group_rows(mesh.edges_sorted, require_count=1)
    return {frozenset(pair) for pair in mesh.edges_sorted[alone].tolist()}


@pytest.mark.parametrize("seed", range(5))
def test_rims_cover_the_sides_that_trimesh_finds_on_one_triangle_only(seed: int) -> None:
    generator = np.random.default_rng(seed)
    triangles = toy_face_arrays().triangles
    torn = triangles[generator.random(len(triangles)) > 0.1]
    walked = [side for rim in rims(torn) for side in _sides(rim)]
    assert len(walked) == len(set(walked)), "a side belongs to one rim only"
    assert set(walked) == _boundary_by_trimesh(torn)


def test_cut_keeps_triangles_and_forgets_vertices_without_one() -> None:
    _, triangles = _grid()
    keep = np.zeros(25, bool)
    keep[[0, 1, 5, 6, 24]] = True  # one square, and a vertex alone
    old, cut, new = kept_vertices(keep, triangles)
    assert old.tolist() == [0, 1, 5, 6]
    assert cut.dtype == np.int32 and len(cut) == 2
    assert {tuple(old[triangle]) for triangle in cut} == {(0, 5, 1), (1, 5, 6)}
    assert new[[0, 1, 5, 6]].tolist() == [0, 1, 2, 3]
    assert (np.delete(new, [0, 1, 5, 6]) == -1).all()


def test_cut_of_everything_changes_nothing() -> None:
    _, triangles = _grid()
    old, cut, new = kept_vertices(np.ones(25, bool), triangles)
    np.testing.assert_array_equal(cut, triangles)
    np.testing.assert_array_equal(old, new)


def test_path_visits_its_stops_in_order_and_closes() -> None:
    vertices, triangles = _grid()
    around = [0, 1, 2, 3, 4, 9, 14, 19, 24, 23, 22, 21, 20, 15, 10, 5]
    assert path_through(vertices, triangles, [0, 4, 24, 20]).tolist() == around
    assert path_through(vertices, triangles, [24, 4, 0, 20])[:9].tolist() == [24, 19, 14, 9, 4, 3, 2, 1, 0]


def test_path_takes_the_short_way_in_mm_not_in_edges() -> None:
    vertices, triangles = _grid()
    vertices[12, 2] = 10.0  # a peak in the middle, on every straight way from 10 to 14
    path = path_through(vertices, triangles, [10, 14])
    assert 12 not in path
    assert {10, 14} < set(path.tolist())


def test_path_that_goes_back_where_it_came_from_names_every_vertex_once() -> None:
    strip = np.array([[0, 1, 2], [1, 3, 2]])  # 0 and 3 lie on either side of the edge 1-2
    vertices = np.array([[0, 0, 0], [1, 0.1, 0], [1, -3, 0], [2, 0, 0.0]])
    assert path_through(vertices, strip, [0, 3]).tolist() == [0, 1, 3]


def test_path_between_different_parts_is_refused() -> None:
    vertices, triangles = _grid()
    with pytest.raises(ValueError, match="vertices 0 and 25 lie on different parts"):
        path_through(np.concatenate([vertices, vertices]), np.concatenate([triangles, triangles + 25]), [0, 25])


def _monotone(generator: np.random.Generator) -> Points:
    """A clockwise polygon whose upper and lower sides run from left to right, each as ragged as it likes."""
    above, below = generator.integers(1, 12, size=2)
    x_above, x_below = (np.sort(generator.uniform(1, 59, count)) for count in (above, below))
    upper = np.stack([x_above, generator.uniform(0.5, 9, above)], axis=1)
    lower = np.stack([x_below, -generator.uniform(0.5, 9, below)], axis=1)
    polygon = np.concatenate([[[0, 0]], upper, [[60, 0]], lower[::-1]])
    polygon[:, 1] += generator.uniform(-0.5, 0.5) * polygon[:, 0]  # tilted
    return _with_depth(polygon, generator)


def _convex(generator: np.random.Generator) -> Points:
    angle = -np.sort(generator.uniform(0, 2 * np.pi, generator.integers(3, 20)))
    return _with_depth(np.stack([30 * np.cos(angle), 4 * np.sin(angle)], axis=1), generator)


def _lips(generator: np.random.Generator) -> Points:
    """An open mouth with a cupid's bow, on a curved line, clockwise; corners 60 mm apart."""
    x = np.linspace(-30, 30, generator.integers(6, 30))
    across = 1 - (x / 30) ** 2
    upper = 3 * across * (1 - 0.5 * np.exp(-((x / 6) ** 2)))
    mouth = np.concatenate([np.stack([x, upper], 1), np.stack([x, -4 * across], 1)[-2:0:-1]])
    mouth[:, 1] += generator.uniform(-0.01, 0.01) * mouth[:, 0] ** 2
    return _with_depth(mouth, generator)


def _with_depth(polygon: NDArray[np.floating], generator: np.random.Generator) -> Points:
    return np.concatenate([polygon, generator.normal(size=(len(polygon), 1))], axis=1)


def _any_order(polygon: Points, generator: np.random.Generator) -> tuple[Points, Indices]:
    """The vertices under shuffled numbers, and the loop from any start in either direction."""
    numbers = generator.permutation(len(polygon))
    vertices = np.empty_like(polygon)
    vertices[numbers] = polygon
    loop = np.roll(numbers, generator.integers(len(polygon)))
    return vertices, loop if generator.random() < 0.5 else loop[::-1]


def _shoelace(polygon: Points) -> float:
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


@pytest.mark.parametrize("seed", range(60))
def test_a_filled_loop_has_the_area_of_its_polygon_and_two_triangles_less_than_vertices(seed: int) -> None:
    generator = np.random.default_rng(seed)
    polygon = _monotone(generator)
    vertices, loop = _any_order(polygon, generator)
    patch = filled(vertices, loop)
    assert patch.dtype == np.int32 and patch.shape == (len(loop) - 2, 3)
    np.testing.assert_allclose(_areas(vertices, patch).sum(), _shoelace(polygon), rtol=1e-9)


@pytest.mark.parametrize("seed", range(60))
def test_the_rim_of_a_filled_loop_is_the_loop(seed: int) -> None:
    generator = np.random.default_rng(seed)
    vertices, loop = _any_order(_monotone(generator), generator)
    (rim,) = rims(filled(vertices, loop))
    assert _sides(rim) == _sides(loop)


@pytest.mark.parametrize("shape", [_convex, _lips])
@pytest.mark.parametrize("seed", range(40))
def test_all_triangles_of_a_filled_slit_face_the_viewer(shape: type, seed: int) -> None:
    generator = np.random.default_rng(seed)
    vertices, loop = _any_order(shape(generator), generator)
    assert _areas(vertices, filled(vertices, loop)).min() > 0


def test_a_smile_is_filled_towards_the_viewer_however_its_vertices_are_spread() -> None:
    """The mean height of the lower side, with its vertices near the corners, is above that of the upper one."""
    x_upper = np.array([-30, -6, -3, 0, 3, 6, 30.0])
    x_lower = np.array([-29, -28, -27, -26, -12, 0, 12, 26, 27, 28, 29.0])
    upper, lower = 0.01 * x_upper**2, 0.01 * x_lower**2 - 1.5
    assert lower.mean() > upper.mean()
    flat = np.stack([np.append(x_upper, x_lower[::-1]), np.append(upper, lower[::-1])], axis=1)
    polygon = np.pad(flat, ((0, 0), (0, 1)))
    for loop in (np.arange(18), np.arange(18)[::-1]):
        np.testing.assert_allclose(_areas(polygon, filled(polygon, loop)).sum(), _shoelace(polygon), rtol=1e-9)


def test_every_triangle_of_shut_lips_reaches_from_one_lip_to_the_other() -> None:
    x = np.linspace(-20, 20, 9)
    upper = np.stack([x, -0.01 * x**2, 0 * x], axis=1)
    vertices = np.concatenate([upper, upper[-2:0:-1]])  # the lower lip lies exactly on the upper one
    patch = filled(vertices, np.arange(16))
    assert patch.shape == (14, 3)
    of_upper, of_lower = (patch < 9).sum(axis=1), ((patch > 8) | np.isin(patch, [0, 8])).sum(axis=1)
    assert (of_upper > 0).all() and (of_lower > 0).all()
    np.testing.assert_allclose(_areas(vertices, patch), 0, atol=0.2)  # mm², where a triangle bridges a bend
