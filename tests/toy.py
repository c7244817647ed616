"""A small analytic face for tests: an ellipsoid cap on a grid, with a nose, a mouth that opens and all 68 landmarks."""

import numpy as np
from numpy.typing import NDArray

from models.face_model import FaceModelArrays, Sampling
from models.landmarks import MIRRORED
from models.segments import SEGMENT_INDEX

Component = float | NDArray[np.float64]  # of a vector field: one number for all vertices or one for each

_STEP_MM = 6.5
_COLUMNS, _ROWS = 21, 23  # the middle column is the mirror plane
_MIDDLE = _COLUMNS // 2
_TOP_MM = 62.0
_MOUTH_ROW, _MOUTH_HALF = 15, 4  # grid row of the lip line, columns from the middle to a corner
_EYE = (31.0, 29.0)  # mm, centre of the left eye

# Right half and middle of the 68 landmarks as (number, x, y) in mm; the left half is the mirror image.
# fmt: off
_LANDMARKS_MM = (
    (0, -65, 29), (1, -65, 10), (2, -65, -9), (3, -58, -28), (4, -52, -42),
    (5, -45, -55), (6, -32, -68), (7, -16, -75), (8, 0, -81),
    (17, -52, 42), (18, -45, 49), (19, -32, 49), (20, -26, 49), (21, -13, 42),
    (27, 0, 23), (28, 0, 16), (29, 0, 10), (30, 0, -3), (31, -13, -16), (32, -6, -16), (33, 0, -16),
    (36, -45, 29), (37, -39, 36), (38, -26, 36), (39, -19, 29), (40, -26, 23), (41, -39, 23),
    (49, -19, -29), (50, -6, -29), (51, 0, -29), (57, 0, -42), (58, -6, -42), (59, -19, -42),
)
# fmt: on


def toy_face_arrays() -> FaceModelArrays:
    """About 500 vertices, 6 identity, 5 expression (the first opens the mouth by 10 mm a unit) and 4 albedo modes."""
    grid = _Grid()
    landmarks = _landmarks(grid)
    eyes = [grid.vertices[landmarks[start : start + 6]].mean(axis=0) for start in (36, 42)]
    five_points = [*eyes, *grid.vertices[landmarks[[30, 48, 54]]]]
    vertices = grid.vertices - np.mean(five_points, axis=0)
    diffuse, specular = _albedo_modes(grid.vertices)
    return FaceModelArrays(
        source="toy",
        mean_shape=vertices.astype(np.float32),
        shape_basis=_identity_modes(grid.vertices),
        expression_basis=_expression_modes(grid),
        mean_diffuse=_mean_diffuse(grid),
        diffuse_basis=diffuse,
        mean_specular=np.full_like(vertices, 0.12, dtype=np.float32),
        specular_basis=specular,
        triangles=grid.triangles(),
        mouth_triangles=_zip(grid.upper_lip, grid.lower_lip),
        landmark_vertices=landmarks.astype(np.int32),
        uv=((grid.vertices[:, :2] - [-70, -85]) / [140, 150]).astype(np.float32),
        regions=_regions(grid),
        sampling=_sampling(),
    )


class _Grid:
    """Vertices row by row from the top, then the lower copies of the lip line, then the wall inside the mouth."""

    def __init__(self) -> None:
        columns = (np.arange(_COLUMNS) - _MIDDLE) * _STEP_MM
        rows = _TOP_MM - np.arange(_ROWS) * _STEP_MM
        x, y = (axis.ravel() for axis in np.meshgrid(columns, rows))
        depth = 75 * np.sqrt(np.clip(1 - (x / 85) ** 2 - (y / 110) ** 2, 0.02, None))
        nose = 20 * np.exp(-((x / 11) ** 2) - ((y + 3) / 18) ** 2)
        surface = np.stack([x, y, depth + nose], axis=1)
        lip = _MOUTH_ROW * _COLUMNS + _MIDDLE + np.arange(-_MOUTH_HALF, _MOUTH_HALF + 1)
        inner = lip[1:-1]
        self.upper_lip = lip
        self.lower_lip = np.concatenate([lip[:1], len(surface) + np.arange(len(inner)), lip[-1:]])
        self.wall = np.concatenate([lip[:1], self.lower_lip[1:-1] + len(inner), lip[-1:]])
        self.vertices = np.concatenate([surface, surface[inner], surface[inner] - [0, 0, 10]])

    def triangles(self) -> NDArray[np.int32]:
        """The surface with its slit, and the wall behind it; counter-clockwise from outside."""
        row, column = (axis.ravel() for axis in np.mgrid[: _ROWS - 1, : _COLUMNS - 1])
        corner = row * _COLUMNS + column
        right, below = corner + 1, corner + _COLUMNS
        surface = np.concatenate([np.stack([corner, below, right], 1), np.stack([right, below, below + 1], 1)])
        of_row_below = np.isin(np.concatenate([row, row]), [_MOUTH_ROW])
        lower_copy = np.arange(len(self.vertices))
        lower_copy[self.upper_lip] = self.lower_lip
        surface[of_row_below] = lower_copy[surface[of_row_below]]
        wall = [_zip(self.upper_lip, self.wall), _zip(self.wall, self.lower_lip)]
        return np.concatenate([surface, *wall]).astype(np.int32)


def _zip(upper: NDArray[np.int64], lower: NDArray[np.int64]) -> NDArray[np.int32]:
    """Triangles between two rows of vertices that share their ends."""
    quads = zip(upper[:-1], lower[:-1], upper[1:], lower[1:], strict=True)
    pairs = [pair for a, b, c, d in quads for pair in ((a, b, c), (c, b, d))]
    return np.array([triangle for triangle in pairs if len(set(triangle)) == 3], np.int32)


def _landmarks(grid: _Grid) -> NDArray[np.int64]:
    result = np.full(68, -1)
    columns = _MIDDLE + np.rint(np.array(_LANDMARKS_MM)[:, 1] / _STEP_MM).astype(int)
    rows = np.rint((_TOP_MM - np.array(_LANDMARKS_MM)[:, 2]) / _STEP_MM).astype(int)
    for (number, _, _), column, row in zip(_LANDMARKS_MM, columns, rows, strict=True):
        result[MIRRORED[number]] = row * _COLUMNS + _COLUMNS - 1 - column
        result[number] = row * _COLUMNS + column
    result[[48, 54]] = grid.upper_lip[[0, -1]]
    result[[60, 61, 62, 63, 64]] = grid.upper_lip[[1, 2, 4, 6, 7]]
    result[[65, 66, 67]] = grid.lower_lip[[6, 4, 2]]
    return result


def _blob(vertices: NDArray[np.float64], centre: tuple[float, float], radius_mm: float) -> NDArray[np.float64]:
    """A bell around the point and its mirror image in the (x, y) plane."""
    folded = np.stack([np.abs(vertices[:, 0]), vertices[:, 1]], axis=1)
    return np.exp(-(((folded - centre) / radius_mm) ** 2).sum(axis=1))


def _stack(fields: list[tuple[Component, Component, Component]], count: int) -> NDArray[np.float32]:
    """Vector fields from their three components, each a number or an array over the vertices."""
    return np.stack(
        [np.stack([np.broadcast_to(part, count) for part in parts], axis=1) for parts in fields],
    ).astype(np.float32)


def _identity_modes(vertices: NDArray[np.float64]) -> NDArray[np.float32]:
    x, y, z = vertices.T
    fields: list[tuple[Component, Component, Component]] = [
        (x * 0.05, 0.0, 0.0),
        (0.0, y * 0.05, 0.0),
        (0.0, 0.0, z * 0.05),
        (x * 0.08 * np.clip(-y / 80, 0, 1), 0.0, 0.0),
        (0.0, 0.0, 3 * _blob(vertices, (0, -3), 14)),
        (np.sign(x) * 1.5 * _blob(vertices, _EYE, 18), 0.0, -1.5 * _blob(vertices, _EYE, 18)),
    ]
    return _stack(fields, len(vertices))


def _expression_modes(grid: _Grid) -> NDArray[np.float32]:
    vertices = grid.vertices
    x, y, _ = vertices.T
    is_lower = y < y[grid.upper_lip[0]] - 0.5 * _STEP_MM
    is_lower[grid.lower_lip[1:-1]] = True
    is_lower[grid.wall[1:-1]] = True
    jaw = is_lower * np.clip(1 - (x / (_MOUTH_HALF * _STEP_MM * 1.2)) ** 2, 0.0, 1.0)
    corner, mouth = (26.0, -35.5), (0.0, -35.5)
    fields: list[tuple[Component, Component, Component]] = [
        (0.0, -10 * jaw, -2 * jaw),
        (np.sign(x) * 2 * _blob(vertices, corner, 12), 3 * _blob(vertices, corner, 12), 0.0),
        (0.0, 3 * _blob(vertices, (28, 46), 15), 0.0),
        (-0.1 * x * _blob(vertices, mouth, 25), 0.0, 2 * _blob(vertices, mouth, 25)),
        (0.0, 0.0, 3 * _blob(vertices, (42, -25), 18)),
    ]
    return _stack(fields, len(vertices))


def _mean_diffuse(grid: _Grid) -> NDArray[np.float32]:
    """Skin with darker eyes, brows and lips, so that the parts can be told apart in a picture; linear RGB."""
    colours = {
        "brows": (0.08, 0.05, 0.04),
        "eyes": (0.25, 0.22, 0.2),
        "lips": (0.35, 0.13, 0.12),
        "inner_mouth": (0.03, 0.01, 0.01),
    }
    result = np.full_like(grid.vertices, 0.0, dtype=np.float32) + np.array([0.45, 0.28, 0.2], np.float32)
    regions = _regions(grid)
    for name, colour in colours.items():
        result[regions == SEGMENT_INDEX[name]] = colour
    return result


def _albedo_modes(vertices: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    x, y, _ = vertices.T
    patterns = np.stack([np.ones_like(x), _blob(vertices, (40, -10), 20), np.cos(x / 20), np.sin(y / 15)])
    colours = np.array([[0.06, 0.04, 0.03], [0.05, 0.01, 0.01], [0.01, 0.01, 0.02], [0.01, 0.015, 0.01]])
    shine = np.array([0.01, 0.0, 0.008, 0.012])
    diffuse = patterns[:, :, None] * colours[:, None]
    specular = np.repeat((patterns * shine[:, None])[:, :, None], 3, axis=2)
    return diffuse.astype(np.float32), specular.astype(np.float32)


def _regions(grid: _Grid) -> NDArray[np.uint8]:
    vertices = grid.vertices
    x, y, _ = vertices.T
    regions = np.full(len(vertices), SEGMENT_INDEX["skin"], np.uint8)
    regions[(np.abs(x) < 12) & (y < 20) & (y > -19)] = SEGMENT_INDEX["nose"]
    regions[(np.abs(np.abs(x) - _EYE[0]) < 14) & (np.abs(y - _EYE[1]) < 5)] = SEGMENT_INDEX["eyes"]
    regions[(np.abs(np.abs(x) - _EYE[0]) < 20) & (np.abs(y - 47) < 5)] = SEGMENT_INDEX["brows"]
    regions[(np.abs(x) < 27) & (np.abs(y + 35.5) < 8)] = SEGMENT_INDEX["lips"]
    regions[grid.wall[1:-1]] = SEGMENT_INDEX["inner_mouth"]
    return regions


def _sampling() -> Sampling:
    generator = np.random.default_rng(0)
    return Sampling(
        action_names=("jawOpen", "mouthSmile", "browInnerUp"),
        action_coefficients=np.eye(5, dtype=np.float32)[:3],
        albedo_bank=generator.normal(size=(12, 4)).astype(np.float32),
        hair_rgb=generator.uniform(0.01, 0.2, size=(12, 3)).astype(np.float32),
    )
