"""Triangle meshes as graphs: their rims, cutting parts out, paths along edges, and closing a hole."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

Points = NDArray[np.floating]  # (V, 3)
Triangles = NDArray[np.int32]  # (F, 3)
Indices = NDArray[np.int64]


def edges(triangles: NDArray[np.integer]) -> NDArray[np.int64]:
    """Both ends (3F, 2) of every side of every triangle, the smaller index first."""
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return np.sort(sides, axis=1).astype(np.int64)


def rims(triangles: NDArray[np.integer]) -> list[Indices]:
    """Every closed boundary of a mesh as its vertices in order, in either direction.

    Boundaries that touch at a vertex come apart there, so that each names a vertex once.
    """
    unique, count = np.unique(edges(triangles), axis=0, return_counts=True)
    neighbours: dict[int, list[int]] = {}
    for a, b in unique[count == 1].tolist():
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    return [np.array(loop) for start in neighbours for loop in _loops_from(start, neighbours)]


def kept_vertices(keep: NDArray[np.bool_], triangles: NDArray[np.integer]) -> tuple[Indices, Triangles, Indices]:
    """Cut out the vertices (V,) to keep: their old indices, the triangles between them, and the new index of each.

    Vertices that no kept triangle uses go too; the new index of a vertex that is gone is -1.
    """
    inside = keep[triangles].all(axis=1)
    old = np.unique(triangles[inside]).astype(np.int64)
    new = np.full(len(keep), -1, np.int64)
    new[old] = np.arange(len(old))
    return old, new[triangles[inside]].astype(np.int32), new


def path_through(vertices: Points, triangles: NDArray[np.integer], stops: Sequence[int]) -> Indices:
    """The shortest closed way along edges that visits the stops in order; every vertex once, the first stop first.

    Raises ValueError when two stops are not connected.
    """
    ends = np.unique(edges(triangles), axis=0)
    lengths = np.linalg.norm(vertices[ends[:, 0]] - vertices[ends[:, 1]], axis=1)
    graph = coo_array((np.maximum(lengths, 1e-6), (ends[:, 0], ends[:, 1])), shape=(len(vertices), len(vertices)))
    way: list[int] = []
    for start, end in zip(stops, [*stops[1:], stops[0]], strict=True):
        distance, before = dijkstra(graph.tocsr(), directed=False, indices=end, return_predecessors=True)
        if not np.isfinite(distance[start]):
            raise ValueError(f"vertices {start} and {end} lie on different parts of the mesh")
        here = int(start)
        while here != end:
            way.append(here)
            here = int(before[here])
    return np.array(list(dict.fromkeys(way)))


def filled(vertices: Points, loop: Indices) -> Triangles:
    """Triangles (N - 2, 3) that close a slit-like loop of N vertices; counter-clockwise seen from +z.

    The loop is cut at its leftmost and rightmost vertex into an upper and a lower side, which are zipped together.
    """
    x, y = vertices[loop, :2].T.astype(np.float64)
    is_clockwise = x @ np.roll(y, -1) < y @ np.roll(x, -1)  # heights of the sides would depend on where vertices lie
    turned = np.roll(loop, -int(x.argmin()))
    last = int(vertices[turned, 0].argmax())
    sides = [turned[: last + 1], np.concatenate([turned[:1], turned[: last - 1 : -1]])]
    upper, lower = sides if is_clockwise else sides[::-1]
    triangles, i, j = [], 0, 0
    while i < len(upper) - 1 or j < len(lower) - 1:
        ahead_above = vertices[upper[i + 1], 0] if i < len(upper) - 1 else np.inf
        ahead_below = vertices[lower[j + 1], 0] if j < len(lower) - 1 else np.inf
        if ahead_above < ahead_below:
            triangles.append((upper[i], lower[j], upper[i + 1]))
            i += 1
        else:
            triangles.append((upper[i], lower[j], lower[j + 1]))
            j += 1
    return np.array([t for t in triangles if len(set(t)) == 3], np.int32)


def _loops_from(start: int, neighbours: dict[int, list[int]]) -> list[list[int]]:
    """The loops of a walk that takes the sides it uses out of `neighbours`, cut off wherever it meets its own way."""
    loops, way = [], [start]
    while neighbours[way[-1]]:
        onward = neighbours[way[-1]].pop(0)
        neighbours[onward].remove(way[-1])
        if onward in way:
            first = way.index(onward)
            loops.append(way[first:])
            del way[first + 1 :]
        else:
            way.append(onward)
    return loops
