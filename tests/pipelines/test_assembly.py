"""The one form of all face models: what is refused, what the landmarks give, and the patch between the lips."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.face_model import FaceModelArrays
from models.landmarks import LANDMARKS, MIRRORED
from models.segments import SEGMENT_INDEX
from pipelines.morphable_models.assembly import (
    Albedo,
    ReadModel,
    alignment_centre,
    assembled,
    check_landmarks,
    cylinder_uv,
    frontal,
    landmark_regions,
    mouth_patch,
)
from pipelines.topology import Points, Triangles
from tests.toy import toy_face_arrays

SURFACE = 21 * 23  # vertices of the toy's surface; the copies of the lip line and the wall inside the mouth follow
OFFSET_MM = np.array([3.0, -20.0, 105.0])


@pytest.fixture(scope="module")
def toy() -> FaceModelArrays:
    return toy_face_arrays()


@pytest.fixture(scope="module")
def mean(toy: FaceModelArrays) -> NDArray[np.float64]:
    return toy.mean_shape.astype(np.float64)


@pytest.fixture(scope="module")
def landmarks(toy: FaceModelArrays) -> NDArray[np.int64]:
    return toy.landmark_vertices.astype(np.int64)


@pytest.fixture
def read(toy: FaceModelArrays, mean: Points, landmarks: NDArray[np.int64]) -> ReadModel:
    """What a reader finds in a file that holds the toy off the origin, without texture coordinates and regions."""
    return ReadModel(
        source="toy file",
        mean_shape=mean + OFFSET_MM,
        shape_basis=toy.shape_basis.astype(np.float64),
        expression_basis=toy.expression_basis.astype(np.float64),
        triangles=toy.triangles,
        landmark_vertices=landmarks,
        mouth_triangles=toy.mouth_triangles,
    )


@pytest.fixture
def albedo(toy: FaceModelArrays) -> Albedo:
    return Albedo(toy.mean_diffuse, toy.diffuse_basis, toy.mean_specular, toy.specular_basis)


def _areas(vertices: Points, triangles: Triangles) -> NDArray[np.float64]:
    """Signed areas (F,) in the first two coordinates, positive where a triangle is counter-clockwise."""
    a, b, c = (vertices[triangles[:, corner], :2].astype(float) for corner in range(3))
    (x1, y1), (x2, y2) = (b - a).T, (c - a).T
    return np.asarray((x1 * y2 - y1 * x2) / 2)


def test_the_origin_becomes_the_alignment_centre(read: ReadModel, albedo: Albedo, mean: Points) -> None:
    arrays = assembled(read, albedo)
    points = arrays.mean_shape[arrays.landmark_vertices]
    five = [points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[30], points[48], points[54]]
    np.testing.assert_allclose(np.mean(five, axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(arrays.mean_shape, mean, atol=1e-3)  # the toy has its origin there already
    moved = alignment_centre(read.mean_shape, read.landmark_vertices)
    np.testing.assert_allclose(moved, OFFSET_MM, atol=1e-3)


def test_the_arrays_have_the_types_of_a_face_model(
    read: ReadModel, albedo: Albedo, toy: FaceModelArrays, mean: Points, landmarks: NDArray[np.int64]
) -> None:
    arrays = assembled(replace(read, shape_basis=np.asfortranarray(read.shape_basis)), albedo)
    for name in ("mean_shape", "shape_basis", "expression_basis", "mean_diffuse", "diffuse_basis", "uv"):
        array = getattr(arrays, name)
        assert array.dtype == np.float32 and array.flags.c_contiguous, name
    assert arrays.triangles.dtype == arrays.landmark_vertices.dtype == arrays.mouth_triangles.dtype == np.int32
    np.testing.assert_array_equal(arrays.shape_basis, toy.shape_basis)
    np.testing.assert_array_equal(arrays.regions, landmark_regions(mean, landmarks))
    np.testing.assert_allclose(arrays.uv, cylinder_uv(mean), atol=1e-5)
    assert arrays.source == "toy file"


def test_uv_regions_and_actions_of_the_file_are_kept(read: ReadModel, albedo: Albedo, toy: FaceModelArrays) -> None:
    known = replace(
        read,
        uv=toy.uv,
        regions=toy.regions,
        action_names=toy.sampling.action_names,
        action_coefficients=toy.sampling.action_coefficients,
    )
    skins = replace(albedo, bank=toy.sampling.albedo_bank, hair_rgb=toy.sampling.hair_rgb)
    arrays = assembled(known, skins)
    np.testing.assert_array_equal(arrays.uv, toy.uv)
    np.testing.assert_array_equal(arrays.regions, toy.regions)
    assert arrays.sampling.action_names == toy.sampling.action_names
    for name in ("action_coefficients", "albedo_bank", "hair_rgb"):
        np.testing.assert_array_equal(getattr(arrays.sampling, name), getattr(toy.sampling, name))


def test_assembly_refuses_another_unit(read: ReadModel, albedo: Albedo) -> None:
    with pytest.raises(ValueError, match=r"toy file: .* seems to be in metres"):
        assembled(replace(read, mean_shape=read.mean_shape / 1000), albedo)


def test_a_face_in_mm_is_accepted(mean: Points, landmarks: NDArray[np.int64]) -> None:
    for factor in (0.9, 1.0, 1.1):
        check_landmarks("toy", factor * mean + OFFSET_MM, landmarks)


@pytest.mark.parametrize("stretch", [0.8, 1.0, 1.2])
@pytest.mark.parametrize(
    ("unit", "per_mm"), [("metres", 1e-3), ("decimetres", 1e-2), ("centimetres", 1e-1), ("micrometres", 1e3)]
)
def test_a_wrong_unit_is_named(
    mean: Points, landmarks: NDArray[np.int64], unit: str, per_mm: float, stretch: float
) -> None:
    with pytest.raises(ValueError, match=rf"toy: .*expected 70 to 110 .*; the file seems to be in {unit}$"):
        check_landmarks("toy", mean * per_mm * stretch, landmarks)


def test_a_size_of_no_known_unit_gets_no_hint(mean: Points, landmarks: NDArray[np.int64]) -> None:
    with pytest.raises(ValueError, match=r"expected 70 to 110 \(another unit, or landmarks of another topology\)$"):
        check_landmarks("toy", mean * 3, landmarks)


def test_nan_is_refused(mean: Points, landmarks: NDArray[np.int64]) -> None:
    with pytest.raises(ValueError, match="expected 70 to 110"):
        check_landmarks("toy", mean * np.nan, landmarks)


def test_landmarks_must_be_68_vertices(mean: Points, landmarks: NDArray[np.int64]) -> None:
    outside, negative = landmarks.copy(), landmarks.copy()
    outside[3], negative[3] = len(mean), -1
    for wrong in (landmarks[:67], landmarks[:0], outside, negative):
        with pytest.raises(ValueError, match=f"expected 68 landmarks within the {len(mean)} vertices"):
            check_landmarks("toy", mean, wrong)


@pytest.mark.parametrize(
    ("axes", "complaint"),
    [
        ([-1, 1, 1], "of the right side lies left"),
        ([1, -1, 1], "do not descend"),
        ([1, 1, -1], "tip of the nose lies behind"),
        ([-1, 1, -1], "of the right side lies left"),  # turned half round: seen from behind
        ([-1, -1, 1], "do not descend"),  # upside down
        ([1, -1, -1], "do not descend"),  # y down and z away, as a camera of OpenCV sees it
    ],
)
def test_mirrored_and_turned_axes_are_refused(
    mean: Points, landmarks: NDArray[np.int64], axes: list[int], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_landmarks("toy", mean * axes, landmarks)


def test_landmarks_with_exchanged_sides_are_refused(mean: Points, landmarks: NDArray[np.int64]) -> None:
    with pytest.raises(ValueError, match="of the right side lies left"):
        check_landmarks("toy", mean, landmarks[list(MIRRORED)])


@pytest.mark.parametrize("right", [number for number in range(68) if number < MIRRORED[number]])
def test_a_landmark_exchanged_with_its_partner_is_refused(
    mean: Points, landmarks: NDArray[np.int64], right: int
) -> None:
    swapped = landmarks.copy()
    swapped[[right, MIRRORED[right]]] = swapped[[MIRRORED[right], right]]
    with pytest.raises(ValueError, match=r"toy: landmark \d+ of the right side lies left of its partner \d+"):
        check_landmarks("toy", mean, swapped)


def test_a_mouth_counted_the_other_way_round_is_refused(mean: Points, landmarks: NDArray[np.int64]) -> None:
    turned = landmarks.copy()
    turned[48:68] = landmarks[list(MIRRORED[48:68])]
    with pytest.raises(ValueError, match="landmark 48 of the right side lies left of its partner 54"):
        check_landmarks("toy", mean, turned)


@pytest.mark.parametrize("pair", [(2, 5), (17, 40), (36, 37), (20, 39), (60, 31)])
def test_two_exchanged_landmarks_of_one_side_are_refused(
    mean: Points, landmarks: NDArray[np.int64], pair: tuple[int, int]
) -> None:
    swapped = landmarks.copy()
    swapped[list(pair)] = swapped[list(pair[::-1])]
    with pytest.raises(ValueError, match=r"toy: landmark \d+ is .* mm from the mirror image"):
        check_landmarks("toy", mean, swapped)


def test_exchanged_landmarks_of_the_midline_are_refused(mean: Points, landmarks: NDArray[np.int64]) -> None:
    swapped = landmarks.copy()
    swapped[[51, 57]] = swapped[[57, 51]]
    with pytest.raises(ValueError, match="do not descend"):
        check_landmarks("toy", mean, swapped)


def test_a_landmark_may_be_a_little_off_its_mirror_image(mean: Points, landmarks: NDArray[np.int64]) -> None:
    asymmetric = mean.copy()
    asymmetric[landmarks[3]] += [0, 7, 0]
    check_landmarks("toy", asymmetric, landmarks)
    asymmetric[landmarks[3]] += [0, 2, 0]
    with pytest.raises(ValueError, match=r"landmark (3|13) is 9\.0 mm from .* expected at most 8"):
        check_landmarks("toy", asymmetric, landmarks)


def test_a_symmetric_face_may_lie_off_the_mirror_plane(mean: Points, landmarks: NDArray[np.int64]) -> None:
    check_landmarks("toy", mean + np.array([500.0, 0.0, 0.0]), landmarks)


def test_each_group_of_landmarks_lies_in_its_region(mean: Points, landmarks: NDArray[np.int64]) -> None:
    regions = landmark_regions(mean, landmarks)
    # Points on an outline may fall on either side: only those inside are asked for.
    inside = {
        "skin": LANDMARKS["jaw"],
        "brows": [*LANDMARKS["right_eyebrow"], *LANDMARKS["left_eyebrow"]],
        "nose": [28, 29, 30, 32, 33, 34],
        "lips": [61, 62, 63, 65, 66, 67],
    }
    for name, numbers in inside.items():
        assert (regions[landmarks[list(numbers)]] == SEGMENT_INDEX[name]).all(), name
    of_outline = {"eyes": [*LANDMARKS["right_eye"], *LANDMARKS["left_eye"]], "lips": LANDMARKS["outer_mouth"]}
    for name, numbers in of_outline.items():
        assert set(regions[landmarks[list(numbers)]].tolist()) <= {SEGMENT_INDEX[name], SEGMENT_INDEX["skin"]}


def test_the_middle_of_each_eye_and_of_the_mouth_has_its_region(mean: Points, landmarks: NDArray[np.int64]) -> None:
    centres = [mean[landmarks[list(LANDMARKS[name])]].mean(axis=0) for name in ("right_eye", "left_eye", "inner_mouth")]
    with_centres = np.concatenate([mean, centres])
    regions = landmark_regions(with_centres, landmarks)
    assert regions[-3:].tolist() == [SEGMENT_INDEX["eyes"], SEGMENT_INDEX["eyes"], SEGMENT_INDEX["lips"]]


def test_regions_are_symmetric_and_leave_cheeks_chin_and_forehead_skin(
    mean: Points, landmarks: NDArray[np.int64]
) -> None:
    regions = landmark_regions(mean, landmarks)[:SURFACE].reshape(23, 21)
    # points_in_poly counts a point on the left side of an outline, not one on the right
    assert (regions != regions[:, ::-1]).mean() < 0.04
    assert regions.dtype == np.uint8
    x, y = (mean - mean[landmarks[30]])[:SURFACE, :2].T
    for is_there in (np.abs(x) > 55, y < -60, y > 60, (np.abs(x) > 30) & (y < 20)):
        assert (regions.ravel()[is_there] == SEGMENT_INDEX["skin"]).all()


def test_regions_do_not_depend_on_where_the_face_lies(mean: Points, landmarks: NDArray[np.int64]) -> None:
    interior = np.random.default_rng(0).uniform(-60, 60, size=(2000, 3))  # almost surely on no outline
    scattered = np.concatenate([mean, interior])
    near, far = (landmark_regions(scattered + offset, landmarks)[len(mean) :] for offset in (0.0, OFFSET_MM))
    np.testing.assert_array_equal(near, far)
    assert set(near.tolist()) == {SEGMENT_INDEX[name] for name in ("skin", "brows", "eyes", "nose", "lips")}


def test_a_cylinder_spreads_the_face_over_the_unit_square(toy: FaceModelArrays, mean: Points) -> None:
    uv = cylinder_uv(mean)
    assert uv.shape == (len(mean), 2)
    np.testing.assert_allclose(uv.min(axis=0), 0)
    np.testing.assert_allclose(uv.max(axis=0), 1)
    on_surface = (toy.triangles < SURFACE).all(axis=1) & (np.abs(_areas(mean, toy.triangles)) > 1)
    is_wall = np.isin(toy.triangles, np.arange(SURFACE, len(mean))).any(axis=1)
    areas = _areas(uv, toy.triangles[on_surface & ~is_wall])
    assert len(areas) > 800
    assert areas.min() > 0.1 * areas.mean(), "no triangle is turned over or squeezed to nothing"


def test_a_cylinder_turns_u_to_the_persons_left_and_v_up(mean: Points) -> None:
    uv = cylinder_uv(mean)[:SURFACE].reshape(23, 21, 2)
    assert (np.diff(uv[..., 0], axis=1) > 0).all()
    assert (np.diff(uv[..., 1], axis=0) < 0).all()
    np.testing.assert_allclose(uv[:, 10, 0], 0.5, atol=1e-6)


def test_the_frontal_crop_leaves_out_neck_crown_and_back_of_the_head(
    mean: Points, landmarks: NDArray[np.int64]
) -> None:
    points = mean[landmarks]
    top, low, back = points[:, 1].max(), points[:, 1].min(), points[:, 2].min()
    inside = [[0, top + 64, back], [0, low - 11, back], [80, 0, back - 11]]
    outside = [[0, top + 66, back], [0, low - 13, back], [80, 0, back - 13], [0, 0, back - 150]]
    kept = frontal(np.concatenate([mean, inside, outside]), landmarks)
    assert kept[landmarks].all()
    assert kept[len(mean) :].tolist() == [True] * 3 + [False] * 4


def _opened(toy: FaceModelArrays) -> NDArray[np.float64]:
    """The toy with its mouth 10 mm open."""
    return (toy.mean_shape + toy.expression_basis[0]).astype(np.float64)


def _without_wall(toy: FaceModelArrays) -> Triangles:
    """The toy's triangles with a hole between the lips."""
    wall = np.arange(len(toy.mean_shape) - 7, len(toy.mean_shape))
    return toy.triangles[~np.isin(toy.triangles, wall).any(axis=1)]


@pytest.mark.parametrize("has_hole", [True, False])
def test_the_mouth_patch_closes_the_gap_between_the_lips(
    toy: FaceModelArrays, landmarks: NDArray[np.int64], has_hole: bool
) -> None:
    opened = _opened(toy)
    patch = mouth_patch("toy", opened, _without_wall(toy) if has_hole else toy.triangles, landmarks)
    assert set(patch.ravel()) == set(toy.mouth_triangles.ravel())
    assert len(patch) == len(toy.mouth_triangles) == 14  # 16 vertices around the slit
    areas = _areas(opened, patch)
    assert areas.min() > 0
    np.testing.assert_allclose(areas.sum(), _areas(opened, toy.mouth_triangles).sum())


@pytest.mark.parametrize("has_hole", [True, False])
def test_a_patch_made_with_the_mouth_shut_opens_with_it(
    toy: FaceModelArrays, mean: Points, landmarks: NDArray[np.int64], has_hole: bool
) -> None:
    patch = mouth_patch("toy", mean, _without_wall(toy) if has_hole else toy.triangles, landmarks)
    np.testing.assert_allclose(_areas(mean, patch), 0, atol=1e-3)
    areas = _areas(_opened(toy), patch)
    # Lips that touch do not tell which of them is above; the patch is drawn from both sides.
    assert np.abs(np.sign(areas).sum()) == len(patch)
    np.testing.assert_allclose(np.abs(areas).sum(), _areas(_opened(toy), toy.mouth_triangles).sum(), rtol=1e-5)


def test_the_hole_of_the_mouth_is_found_though_one_landmark_is_beside_it(
    toy: FaceModelArrays, landmarks: NDArray[np.int64]
) -> None:
    beside = landmarks.copy()
    beside[62] -= 21  # one row up, on the upper lip
    patch = mouth_patch("toy", _opened(toy), _without_wall(toy), beside)
    assert beside[62] not in patch
    assert set(patch.ravel()) == set(toy.mouth_triangles.ravel())


def test_a_hole_elsewhere_is_not_taken_for_the_mouth(toy: FaceModelArrays, landmarks: NDArray[np.int64]) -> None:
    eye = landmarks[36] + 1
    torn = toy.triangles[~(toy.triangles == eye).any(axis=1)]
    patch = mouth_patch("toy", _opened(toy), torn, landmarks)
    assert set(patch.ravel()) == set(toy.mouth_triangles.ravel())


def test_lips_that_are_one_are_refused(toy: FaceModelArrays, mean: Points, landmarks: NDArray[np.int64]) -> None:
    """Glued shut, the inner contour is a line of seven vertices and has no inside."""
    glue = np.arange(len(mean))
    upper, lower = landmarks[[60, 61, 62, 63, 64]], landmarks[[65, 66, 67]]
    row = np.arange(upper[0], upper[-1] + 1)  # vertices between the corners
    glue[SURFACE : SURFACE + len(row)] = row
    glued = glue[toy.triangles]
    assert set(glue[lower]) == set(upper[1:4])
    with pytest.raises(ValueError, match="toy: no inner contour of the lips of at least 8 vertices, got 7"):
        mouth_patch("toy", mean, glued, glue[landmarks])
