import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from models.face_model import FaceModelArrays
from models.segments import SEGMENT_INDEX
from pipelines.morphable_models.assembly import Albedo
from pipelines.morphable_models.borrowed_albedo import borrowed_albedo
from tests.toy import toy_face_arrays

SAME = 1e-5  # of linear RGB: a micrometre of the spline's rounding beside neighbours 6.5 mm away
INNER_UPPER, INNER_LOWER = [61, 62, 63], [67, 66, 65]


@pytest.fixture(scope="module")
def lender() -> FaceModelArrays:
    return toy_face_arrays()


def borrowed(
    lender: FaceModelArrays, vertices: NDArray[np.floating], regions: NDArray[np.uint8] | None = None
) -> Albedo:
    """On the lender's own topology."""
    return borrowed_albedo(vertices, lender.landmark_vertices.astype(np.int64), lender, regions=regions)


def assert_lent_to_each(
    albedo: Albedo, lender: FaceModelArrays, own: NDArray[np.integer] | slice = slice(None)
) -> None:
    for name in ("mean_diffuse", "mean_specular"):
        np.testing.assert_allclose(getattr(albedo, name), getattr(lender, name)[own], atol=SAME, err_msg=name)
        assert getattr(albedo, name).dtype == np.float32
    for name in ("diffuse_basis", "specular_basis"):
        np.testing.assert_allclose(getattr(albedo, name), getattr(lender, name)[:, own], atol=SAME, err_msg=name)
        assert getattr(albedo, name).dtype == np.float32


@pytest.mark.parametrize("with_regions", [False, True])
def test_a_face_that_borrows_from_itself_gets_its_own_albedo(lender: FaceModelArrays, with_regions: bool) -> None:
    albedo = borrowed(lender, lender.mean_shape, lender.regions if with_regions else None)
    assert_lent_to_each(albedo, lender)
    np.testing.assert_array_equal(albedo.bank, lender.sampling.albedo_bank)
    np.testing.assert_array_equal(albedo.hair_rgb, lender.sampling.hair_rgb)


def test_a_similarity_changes_nothing(lender: FaceModelArrays) -> None:
    turned = Rotation.from_euler("xyz", [0.3, -0.5, 0.2]).apply(lender.mean_shape)
    assert_lent_to_each(borrowed(lender, 1.25 * turned + [40, -300, 90]), lender)


def test_the_order_of_the_vertices_does_not_matter(lender: FaceModelArrays) -> None:
    order = np.random.default_rng(3).permutation(len(lender.mean_shape))
    place = np.argsort(order)
    albedo = borrowed_albedo(lender.mean_shape[order], place[lender.landmark_vertices], lender)
    assert_lent_to_each(albedo, lender, own=order)


def test_colours_follow_the_landmarks_of_another_face(lender: FaceModelArrays) -> None:
    """On a bent face, the landmarks keep their own colours, though far more vertices have moved than the step of the
    mesh; by the nearest vertices of the unbent face they would not."""
    bent = lender.mean_shape * [1.3, 0.85, 1.1] + 9 * np.sin(lender.mean_shape[:, [1, 0, 0]] / 60)
    landmarks = lender.landmark_vertices
    albedo = borrowed(lender, bent)
    np.testing.assert_allclose(albedo.mean_diffuse[landmarks], lender.mean_diffuse[landmarks], atol=SAME)
    np.testing.assert_allclose(albedo.diffuse_basis[:, landmarks], lender.diffuse_basis[:, landmarks], atol=SAME)
    assert np.linalg.norm(bent - lender.mean_shape, axis=1)[landmarks].max() > 10


def test_a_vertex_between_others_takes_the_mean_by_inverse_distance(lender: FaceModelArrays) -> None:
    corner = 3 * 21 + 5  # of the forehead; the grid has 21 columns
    trio = [corner, corner + 1, corner + 21]
    a, b, c = lender.mean_shape[trio].astype(np.float64)
    between = 0.5 * a + 0.3 * b + 0.2 * c
    weights = 1 / np.linalg.norm([a - between, b - between, c - between], axis=1)
    expected = weights @ lender.diffuse_basis[2, trio] / weights.sum()
    albedo = borrowed(lender, np.concatenate([lender.mean_shape, between[None]]))
    np.testing.assert_allclose(albedo.diffuse_basis[2, -1], expected, atol=SAME)
    assert np.ptp(lender.diffuse_basis[2, trio], axis=0).max() > 20 * SAME


def test_far_outside_the_rim_goes_on(lender: FaceModelArrays) -> None:
    above = lender.mean_shape[10] + [0, 80, -20]
    albedo = borrowed(lender, np.concatenate([lender.mean_shape, above[None]]))
    rim = lender.specular_basis[:, :63, 0]  # the uppermost three rows
    assert (albedo.specular_basis[:, -1, 0] <= rim.max(axis=1) + SAME).all()
    assert (albedo.specular_basis[:, -1, 0] >= rim.min(axis=1) - SAME).all()


def test_open_lips_may_borrow_from_closed_ones(lender: FaceModelArrays) -> None:
    """The inner landmarks of the toy's closed mouth touch; a spline that were to send them apart has no solution."""
    upper, lower = lender.landmark_vertices[INNER_UPPER], lender.landmark_vertices[INNER_LOWER]
    np.testing.assert_array_equal(lender.mean_shape[upper], lender.mean_shape[lower])
    opened = lender.mean_shape.copy()
    opened[lower] -= [0, 3, 0]
    albedo = borrowed(lender, opened)
    away = np.linalg.norm(lender.mean_shape - lender.mean_shape[lender.landmark_vertices[62]], axis=1) > 40
    np.testing.assert_allclose(albedo.mean_diffuse[away], lender.mean_diffuse[away], atol=0.1)
    lips = [*upper, *lower]
    np.testing.assert_allclose(albedo.mean_diffuse[lips], lender.mean_diffuse[lips], atol=0.1)


@pytest.mark.parametrize("part", ["eyes", "inner_mouth"])
def test_parts_behind_the_skin_take_colours_of_their_own_kind_only(lender: FaceModelArrays, part: str) -> None:
    """A skin vertex that lies exactly on the part, and one of the part that lies exactly on skin."""
    skin, own = SEGMENT_INDEX["skin"], SEGMENT_INDEX[part]
    on_part, on_skin = np.flatnonzero(lender.regions == own)[0], np.flatnonzero(lender.regions == skin)[0]
    vertices = np.concatenate([lender.mean_shape, lender.mean_shape[[on_part, on_skin]]])
    regions = np.concatenate([lender.regions, np.array([skin, own], np.uint8)])
    by_position = borrowed(lender, vertices).mean_diffuse[-2:]
    np.testing.assert_allclose(by_position, lender.mean_diffuse[[on_part, on_skin]], atol=SAME)
    by_kind = borrowed(lender, vertices, regions).mean_diffuse[-2:]
    colour = lender.mean_diffuse[on_part]
    assert np.abs(by_kind[0] - colour).max() > 0.1
    np.testing.assert_allclose(by_kind[1], colour, atol=SAME)


def test_parts_that_the_lender_lacks_take_what_is_near(lender: FaceModelArrays) -> None:
    without = dataclasses.replace(lender, regions=np.full_like(lender.regions, SEGMENT_INDEX["skin"]))
    assert_lent_to_each(borrowed(without, lender.mean_shape, lender.regions), lender)


def test_a_part_of_two_vertices_still_lends(lender: FaceModelArrays) -> None:
    regions = np.full_like(lender.regions, SEGMENT_INDEX["skin"])
    regions[[100, 101]] = SEGMENT_INDEX["eyes"]
    albedo = borrowed(dataclasses.replace(lender, regions=regions), lender.mean_shape, regions)
    assert_lent_to_each(albedo, lender)


def test_landmarks_and_regions_of_another_mesh_are_refused(lender: FaceModelArrays) -> None:
    with pytest.raises(ValueError, match="expected 68 landmarks, got 5"):
        borrowed_albedo(lender.mean_shape, np.arange(5), lender)
    with pytest.raises(ValueError, match="3 regions for 497 vertices"):
        borrowed(lender, lender.mean_shape, np.zeros(3, np.uint8))
