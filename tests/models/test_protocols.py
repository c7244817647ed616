"""Named protocols: each changes what it says it changes, and nothing else."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from models.icp import IcpSettings, Similarity
from models.protocols import PROTOCOLS, EyesAndNose, NoseTip, Protocol
from models.scan_regions import REGIONS, scan_regions
from models.shape_error import MarkedScan, ShapeError, crop_of, shape_error
from models.surface import Surface, surface_from_mesh
from pipelines.params import ShapeProtocol
from tests.models.test_shape_error import NO_MOVE, face_like
from tests.toy import toy_face_arrays

ICP = IcpSettings(30, 0.95)
PAPER = PROTOCOLS["paper"]
TOY = toy_face_arrays()
TOY_LANDMARKS = TOY.mean_shape[TOY.landmark_vertices].astype(np.float64)


def bumpy(height: float = 3.0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    vertices, triangles = face_like()
    bump = np.exp(-((vertices[:, :2] - [20, -30]) ** 2).sum(axis=1) / 300)
    return vertices + bump[:, None] * [0, 0, height], triangles


def error_under(protocol: Protocol, mesh: Surface, *, scale: float | None = None) -> ShapeError:
    vertices, triangles = face_like()
    scan = MarkedScan(surface_from_mesh(vertices, triangles), vertices[vertices[:, 2].argmax()])
    return shape_error(mesh, scan, scan_from_mesh=NO_MOVE, protocol=protocol, icp=ICP, scale=scale)


def test_every_protocol_has_its_name_its_source_and_a_place_in_the_parameters() -> None:
    assert tuple(PROTOCOLS) == get_args(ShapeProtocol)
    assert all(name == protocol.name and len(protocol.source) > 20 for name, protocol in PROTOCOLS.items())
    assert len({protocol.description for protocol in PROTOCOLS.values()}) == len(PROTOCOLS)


def test_the_papers_protocol_stays_what_the_reference_was_measured_with() -> None:
    assert PAPER.description == (
        "ICP with isotropic scale, point-to-plane, scan to mesh, within 95 mm of the nose tip, mean"
    )


def test_statistics_are_those_of_the_same_distances() -> None:
    mesh = surface_from_mesh(*bumpy())
    found = error_under(PAPER, mesh)
    for statistic, expected in (
        ("rmse", np.sqrt((found.distances_mm**2).mean())),
        ("median", np.median(found.distances_mm)),
        ("std", found.distances_mm.std()),
    ):
        assert error_under(replace(PAPER, statistic=statistic), mesh).value_mm == pytest.approx(expected)


def test_symmetric_is_the_mean_of_both_directions_after_one_registration() -> None:
    mesh = surface_from_mesh(*bumpy())
    both, one = error_under(replace(PAPER, direction="symmetric"), mesh), error_under(PAPER, mesh)
    count = len(one.distances_mm)
    np.testing.assert_array_equal(both.distances_mm[:count], one.distances_mm)
    assert len(both.points) == len(both.distances_mm) > count
    expected = (both.distances_mm[:count].mean() + both.distances_mm[count:].mean()) / 2
    assert both.value_mm == pytest.approx(expected)
    assert both.value_mm != pytest.approx(one.value_mm, rel=1e-4)


@pytest.mark.parametrize("direction", ["scan_to_mesh", "mesh_to_scan"])
def test_distances_to_the_surface_are_never_longer_than_to_its_vertices(direction: str) -> None:
    coarse = surface_from_mesh(*bumpy())
    protocol = replace(PAPER, direction=direction, distance="surface")
    found = error_under(protocol, coarse)
    assert 0.1 < found.value_mm < 1.0
    same = error_under(protocol, surface_from_mesh(*face_like()))
    assert same.value_mm < 1e-6


def test_without_a_scale_of_its_own_the_size_stays_that_of_the_start() -> None:
    vertices, triangles = face_like()
    small = surface_from_mesh(0.9 * vertices, triangles)
    assert error_under(PAPER, small).value_mm < 1e-3
    for found in (
        error_under(replace(PAPER, scale="landmarks"), small),
        error_under(replace(PAPER, scale="method"), small, scale=1.0),
    ):
        assert found.scan_from_mesh.scale == 1.0
        assert found.value_mm > 0.5
    assert error_under(replace(PAPER, scale="method"), small, scale=1 / 0.9).value_mm < 1e-3


def test_what_lies_beyond_the_rim_counts_unless_only_the_overlap_does() -> None:
    vertices, triangles = bumpy()
    upper = surface_from_mesh(vertices, triangles)
    half = upper.part(upper.points[:, 1] > -40)
    whole, overlap = error_under(PAPER, half), error_under(replace(PAPER, overlap_only=True), half)
    assert overlap.value_mm < whole.value_mm
    assert overlap.points[:, 1].min() > -45 > whole.points[:, 1].min()


def test_the_crop_of_now_by_hand() -> None:
    landmarks = np.zeros((68, 3))
    landmarks[36], landmarks[45] = [-45, 40, 0], [45, 40, 0]
    landmarks[27], landmarks[33] = [0, 40, 0], [0, -10, 0]
    scan = MarkedScan(surface_from_mesh(*face_like()), landmarks[30], landmarks)
    crop = crop_of(scan, replace(PAPER, crop=EyesAndNose(1.4)))
    np.testing.assert_allclose(crop.centre, [0, 5, 0])
    assert crop.radius == pytest.approx(1.4 * (90 + 50) / 2)
    assert crop_of(scan, replace(PAPER, crop=NoseTip(40.0))).radius == 40.0


def test_a_scan_without_landmarks_is_refused_where_a_protocol_needs_them() -> None:
    for name, protocol in PROTOCOLS.items():
        assert protocol.needs_landmarks == name.startswith(("now", "realy"))
        if protocol.needs_landmarks:
            with pytest.raises(ValueError, match=f"the protocol {name} needs 68 landmarks on the scan, it has none"):
                error_under(protocol, surface_from_mesh(*bumpy()))


def test_regions_lie_where_their_names_say() -> None:
    """On the toy face: by height and distance from the middle."""
    points = TOY.mean_shape.astype(np.float64)
    found = np.array(REGIONS)[scan_regions(points, TOY_LANDMARKS)]
    heights = {name: points[found == name, 1].mean() for name in REGIONS}
    assert heights["forehead"] > heights["nose"] > heights["mouth"]
    assert np.abs(points[found == "nose", 0]).max() < 30
    assert (points[found == "cheek", 0] > 25).any() and (points[found == "cheek", 0] < -25).any()
    assert np.abs(points[found == "cheek", 0]).min() > 13
    moved = Similarity(1.0, np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([9.0, 8, 7]))
    again = scan_regions(moved.moved(points), moved.moved(TOY_LANDMARKS))
    np.testing.assert_array_equal(np.array(REGIONS)[again], found)


def test_a_region_is_measured_alone() -> None:
    surface = surface_from_mesh(TOY.mean_shape, TOY.triangles)
    scan = MarkedScan(surface, TOY_LANDMARKS[30], TOY_LANDMARKS)
    dented = TOY.mean_shape.astype(np.float64)
    mouth = np.linalg.norm(dented - TOY_LANDMARKS[[51, 57]].mean(axis=0), axis=1) < 14
    dented[mouth] -= [0, 0, 5]
    mesh = surface_from_mesh(dented, TOY.triangles)
    values = {
        name: shape_error(mesh, scan, scan_from_mesh=NO_MOVE, protocol=PROTOCOLS[name], icp=ICP).value_mm
        for name in ("realy_mouth", "realy_forehead")
    }
    assert values["realy_forehead"] < 1e-3 < 0.5 < values["realy_mouth"]
