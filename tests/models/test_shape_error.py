"""Registration with isotropic scale: undoes a random similarity, tolerates noise and holes, keeps the scan's mm."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.icp import IcpSettings, Similarity, similarity_from_corresponding
from models.protocols import Direction, NoseTip, Protocol, Statistic
from models.shape_error import MarkedScan, ShapeError, no_shape_error, shape_error
from models.surface import Surface, surface_from_mesh

ICP = IcpSettings(60, 0.95)
NO_MOVE = Similarity(1.0, np.eye(3), np.zeros(3))


def face_like() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A bent sheet with a nose, eye sockets and a chin, not symmetric: 55 × 65 vertices, mm."""
    x, y = np.meshgrid(np.linspace(-60, 60, 55), np.linspace(-80, 70, 65))
    z = -(x**2) / 90 - y**2 / 300 + 22 * np.exp(-(x**2 + y**2) / 250)
    for cx, cy, height in ((-30, 30, -8), (31, 29, -7), (2, -60, 9), (-35, -20, 4)):
        z += height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 200)
    index = np.arange(x.size).reshape(x.shape)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([b, d, c], axis=1)])
    return np.stack([x, y, z], axis=-1).reshape(-1, 3), triangles


def some_similarity(seed: int, *, scale: float, degrees: float) -> Similarity:
    rng = np.random.default_rng(seed)
    rotation = Rotation.from_euler("xyz", rng.uniform(-degrees, degrees, 3), degrees=True).as_matrix()
    return Similarity(scale, rotation, rng.uniform(-6, 6, 3))


def protocol(direction: Direction = "scan_to_mesh", statistic: Statistic = "mean", radius: float = 95.0) -> Protocol:
    return Protocol("test", "", NoseTip(radius), direction=direction, statistic=statistic)


def error_of(
    mesh: Surface,
    scan: Surface,
    nose_tip: NDArray[np.float64],
    chosen: Protocol | None = None,
    *,
    start: Similarity = NO_MOVE,
    icp: IcpSettings = ICP,
) -> ShapeError:
    marked = MarkedScan(scan, nose_tip)
    return shape_error(mesh, marked, scan_from_mesh=start, protocol=chosen or protocol(), icp=icp)


def nose_of(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points[face_like()[0][:, 2].argmax()])


@pytest.mark.parametrize("direction", ["scan_to_mesh", "mesh_to_scan"])
def test_a_random_similarity_is_undone_and_its_scale_recovered(direction: Direction) -> None:
    vertices, triangles = face_like()
    for seed in range(3):
        true = some_similarity(seed, scale=1.08, degrees=6)
        scan = surface_from_mesh(true.moved(vertices), triangles)
        nose = nose_of(true.moved(vertices))
        result = error_of(surface_from_mesh(vertices, triangles), scan, nose, protocol(direction))
        assert result.value_mm < 1e-3
        assert result.scan_from_mesh.scale == pytest.approx(1.08, abs=1e-4)
        np.testing.assert_allclose(result.vertices, scan.points, atol=0.01)


def test_equal_surfaces_have_no_error() -> None:
    surface = surface_from_mesh(*face_like())
    nose = nose_of(face_like()[0])
    assert error_of(surface, surface, nose).value_mm < 1e-9


def test_noise_and_holes_leave_the_registration_in_place() -> None:
    vertices, triangles = face_like()
    true = some_similarity(5, scale=0.93, degrees=5)
    full = surface_from_mesh(true.moved(vertices), triangles)
    rng = np.random.default_rng(0)
    hole = np.linalg.norm(full.points - true.moved(np.array([[-35.0, -20.0, 0.0]])), axis=1) < 18
    noisy = full.points[~hole] + rng.normal(scale=0.4, size=((~hole).sum(), 3))
    scan = Surface(noisy, full.normals[~hole])
    result = error_of(surface_from_mesh(vertices, triangles), scan, nose_of(full.points))
    np.testing.assert_allclose(result.vertices, full.points, atol=0.5)
    # Half-normal noise of 0.4 mm has a mean of 0.32 mm.
    assert result.value_mm == pytest.approx(0.32, abs=0.05)


def test_the_farthest_pairs_do_not_pull_the_registration_away() -> None:
    vertices, triangles = face_like()
    hair = vertices.copy()
    hair[vertices[:, 1] > 64] += [0, 0, 15.0]  # a tenth of the scan belongs to something else
    moved = [
        error_of(
            surface_from_mesh(vertices, triangles),
            surface_from_mesh(hair, triangles),
            nose_of(vertices),
            icp=ICP._replace(kept_fraction=fraction),
        ).vertices
        for fraction in (0.8, 1.0)
    ]
    trimmed, whole = (float(np.linalg.norm(found - vertices, axis=1).mean()) for found in moved)
    assert trimmed < 0.2 * whole


def test_a_bump_is_measured_in_the_scans_millimetres_whatever_the_meshs_unit() -> None:
    vertices, triangles = face_like()
    bumpy = vertices + np.exp(-((vertices[:, :2] - [20, -30]) ** 2).sum(axis=1) / 300)[:, None] * [0, 0, 3.0]
    scan, nose = surface_from_mesh(vertices, triangles), nose_of(vertices)
    in_mm, in_metres = (
        error_of(
            surface_from_mesh(bumpy * unit, triangles),
            scan,
            nose,
            start=Similarity(1 / unit, np.eye(3), np.zeros(3)),
        ).value_mm
        for unit in (1.0, 1e-3)
    )
    assert in_mm == pytest.approx(in_metres, rel=1e-6)
    assert 0.1 < in_mm < 1.0


def test_rmse_is_at_least_the_mean_and_the_crop_limits_the_points() -> None:
    vertices, triangles = face_like()
    mesh, nose = surface_from_mesh(vertices * [1.05, 1, 1], triangles), nose_of(vertices)
    scan = surface_from_mesh(vertices, triangles)
    mean, rmse, small = (
        error_of(mesh, scan, nose, chosen) for chosen in (protocol(), protocol(statistic="rmse"), protocol(radius=30.0))
    )
    assert rmse.value_mm > mean.value_mm > 0
    assert len(small.distances_mm) < len(mean.distances_mm)
    assert np.linalg.norm(small.points - nose, axis=1).max() <= 30.0


def test_a_diverged_mesh_has_no_error() -> None:
    assert np.isnan(no_shape_error(np.full((4, 3), np.nan)).value_mm)


def test_a_crop_without_points_is_refused() -> None:
    surface = surface_from_mesh(*face_like())
    with pytest.raises(ValueError, match=r"at least 10 points in the crop of the protocol test, got 0 within 95.0 mm"):
        error_of(surface, surface, np.full(3, 1e4))


@pytest.mark.parametrize(("count", "value"), [(0, 0.0), (9, 0.0), (200, np.nan)])
def test_a_mesh_that_cannot_be_registered_is_refused(count: int, value: float) -> None:
    surface = surface_from_mesh(*face_like())
    mesh = Surface(surface.points[:count] + value, surface.normals[:count])
    with pytest.raises(ValueError, match=rf"expected a mesh of finite vertices in triangles, got \d+ .* of {count}:"):
        error_of(mesh, surface, nose_of(face_like()[0]))


def test_corresponding_points_give_their_similarity_without_reflection() -> None:
    true = some_similarity(1, scale=0.1, degrees=170)
    points = np.random.default_rng(2).normal(size=(7, 3))
    found = similarity_from_corresponding(points, true.moved(points))
    np.testing.assert_allclose(found.rotation, true.rotation, atol=1e-9)
    np.testing.assert_allclose(found.translation, true.translation, atol=1e-9)
    assert found.scale == pytest.approx(0.1)
    mirrored = similarity_from_corresponding(points, points * [-1, 1, 1])
    assert np.linalg.det(mirrored.rotation) == pytest.approx(1.0)
    assert mirrored.scale > 0
