"""ICP against trimesh and open3d on the same pairs, on thinned surfaces, and where it goes round in a circle."""

import numpy as np
import pytest
import trimesh

from models import icp
from models.icp import Ball, IcpSettings, Level, Matcher, Similarity, registered, similarity_from_corresponding
from models.surface import Surface, surface_from_mesh
from tests.models.test_shape_error import NO_MOVE, face_like, some_similarity

EVERYWHERE = Ball(np.zeros(3), 1e4)
FACE = surface_from_mesh(*face_like())


def moved(surface: Surface, by: Similarity) -> Surface:
    return Surface(by.moved(surface.points), surface.normals @ by.rotation.T, surface.triangles)


def found_by_trimesh(mesh: Surface, scan: Surface, steps: int) -> Similarity:
    matrix = trimesh.registration.icp(
        mesh.points, scan.points, threshold=0, max_iterations=steps, reflection=False, scale=True
    )[0]
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    return Similarity(scale, matrix[:3, :3] / scale, matrix[:3, 3])


@pytest.mark.parametrize("seed", range(3))
def test_the_similarity_is_the_one_that_trimesh_ends_at(seed: int) -> None:
    """Of trimesh's slower point-to-point steps there are enough here, as the start is near."""
    true = some_similarity(seed, scale=1.01, degrees=1)._replace(translation=np.array([0.5, -0.3, 0.4]))
    mesh, scan = FACE.part(np.abs(FACE.points[:, 0]) < 50), moved(FACE, true)
    ours = registered(Matcher(mesh, scan, EVERYWHERE, from_scan=False), NO_MOVE, IcpSettings(60, 0.95))
    other = found_by_trimesh(mesh, scan, 200)
    np.testing.assert_allclose(ours.moved(mesh.points), true.moved(mesh.points), atol=0.01)
    np.testing.assert_allclose(ours.moved(mesh.points), other.moved(mesh.points), atol=0.01)
    assert ours.scale == pytest.approx(other.scale, abs=1e-4)


def found_by_open3d(mesh: Surface, scan: Surface, steps: int, *, with_scale: bool) -> Similarity:
    o3d = pytest.importorskip("open3d", reason="half a gigabyte that only this comparison needs: pip install open3d")
    clouds = []
    for surface in (mesh, scan):
        cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(surface.points))
        cloud.normals = o3d.utility.Vector3dVector(surface.normals)
        clouds.append(cloud)
    icp3d = o3d.pipelines.registration
    # Only its point-to-point steps know a scale.
    kind = (
        icp3d.TransformationEstimationPointToPoint(True) if with_scale else icp3d.TransformationEstimationPointToPlane()
    )
    enough = icp3d.ICPConvergenceCriteria(1e-12, 1e-12, steps)
    matrix = icp3d.registration_icp(*clouds, 50.0, np.eye(4), kind, enough).transformation
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    return Similarity(scale, matrix[:3, :3] / scale, matrix[:3, 3])


@pytest.mark.parametrize(("with_scale", "steps"), [(False, 60), (True, 300)])
def test_the_similarity_is_the_one_that_open3d_ends_at(with_scale: bool, steps: int) -> None:
    true = some_similarity(2, scale=1.01 if with_scale else 1.0, degrees=1)._replace(
        translation=np.array([0.5, 0, 0.4])
    )
    mesh, scan = FACE.part(np.abs(FACE.points[:, 0]) < 50), moved(FACE, true)
    other = found_by_open3d(mesh, scan, steps, with_scale=with_scale)
    matcher = Matcher(mesh, scan, EVERYWHERE, from_scan=False)
    ours = registered(matcher, NO_MOVE, IcpSettings(60, 0.95), with_scale=with_scale)
    np.testing.assert_allclose(ours.moved(mesh.points), other.moved(mesh.points), atol=0.01)
    assert ours.scale == pytest.approx(other.scale, abs=1e-4)


def test_corresponding_points_are_turned_as_by_trimesh() -> None:
    """trimesh takes the ratio of the spreads for the scale, which is the least-squares one on exact points only."""
    rng = np.random.default_rng(0)
    source, target = rng.normal(scale=40, size=(2, 30, 3))
    matrix, _, _ = trimesh.registration.procrustes(source, target, reflection=False, scale=True)
    rotation = matrix[:3, :3] / np.cbrt(np.linalg.det(matrix[:3, :3]))
    np.testing.assert_allclose(similarity_from_corresponding(source, target).rotation, rotation, atol=1e-9)
    true = some_similarity(3, scale=1.7, degrees=90)
    matrix, _, _ = trimesh.registration.procrustes(source, true.moved(source), reflection=False, scale=True)
    found = similarity_from_corresponding(source, true.moved(source))
    np.testing.assert_allclose(found.moved(source), trimesh.transform_points(source, matrix), atol=1e-9)


def test_thinned_surfaces_are_registered_and_paired_with_the_right_points(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_COARSE_TARGETS", 1200), ("_FINE_POINTS", 1500), ("_FINE_TARGETS", 1500)):
        monkeypatch.setattr(icp, name, value)
    true = some_similarity(1, scale=1.05, degrees=4)
    for from_scan in (False, True):
        matcher = Matcher(FACE, moved(FACE, true), EVERYWHERE, from_scan=from_scan)
        assert matcher.levels == (Level(2, 2), Level(2, 2))
        assert registered(matcher, NO_MOVE, IcpSettings(60, 0.95)).scale == pytest.approx(1.05, abs=2e-3)
        pairs = matcher.pairs(true, Level(3, 2))
        on_searched = pairs.on_mesh if from_scan else pairs.on_scan
        np.testing.assert_allclose(on_searched, moved(FACE, true).points[pairs.nearest], atol=1e-9)
        assert not (pairs.nearest % 2).any() and len(pairs.nearest) == -(-len(FACE.points) // 3)


def test_a_small_surface_is_not_thinned_in_the_last_steps() -> None:
    coarse, fine = Matcher(FACE, FACE, EVERYWHERE, from_scan=True).levels
    assert fine == Level(1, 1) and coarse.every > 1


def test_other_scale_keeps_the_centre_where_it_went() -> None:
    similarity, centre = some_similarity(2, scale=1.3, degrees=30), np.array([4.0, -5.0, 60.0])
    other = similarity.with_scale(0.7, centre)
    np.testing.assert_allclose(other.moved(centre[None]), similarity.moved(centre[None]))
    assert other.scale == 0.7
    np.testing.assert_array_equal(other.rotation, similarity.rotation)


@pytest.mark.parametrize(("iterations", "period"), [(40, 2), (41, 2), (40, 3), (42, 3), (9, 2)])
def test_a_circle_ends_where_all_its_steps_would(monkeypatch: pytest.MonkeyPatch, iterations: int, period: int) -> None:
    """The steps are replaced by ones that go round; their residual is what the place in the circle says."""
    walked: list[int] = []

    def step(found: Similarity, pairs: icp.Pairs, *, with_scale: bool) -> Similarity:
        walked.append(1)
        place = int(found.scale) if found.scale < 4 + period - 1 else 3  # 1, 2, 3 and then round
        return found._replace(scale=float(place + 1))

    class Round(Matcher):
        def pairs(self, scan_from_mesh: Similarity, level: Level = icp.EVERYTHING) -> icp.Pairs:
            at, up = np.zeros((20, 3)), np.tile([0.0, 0, 1], (20, 1))
            return icp.Pairs(at, at + scan_from_mesh.scale**2 * up, up, np.arange(20))

    monkeypatch.setattr(icp, "_improved", step)
    matcher = Round(FACE, FACE, EVERYWHERE, from_scan=False)
    quick = registered(matcher, NO_MOVE, IcpSettings(iterations, 0.95))
    steps = len(walked)
    monkeypatch.setattr(icp, "_period", lambda residuals: 0)
    assert quick == registered(matcher, NO_MOVE, IcpSettings(iterations, 0.95))
    assert iterations < 20 or steps < iterations / 2
