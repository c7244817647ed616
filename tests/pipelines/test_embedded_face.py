"""The face model that code generates: topology, symmetry, landmarks, mouth, expressions, colours, statistics."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.face_model import FaceModel, FaceModelArrays
from models.landmarks import LANDMARKS, MIRRORED, five_points
from models.segments import SEGMENT_INDEX
from pipelines.embedded_face.anthropometry import PUBLISHED_DISTANCES, PublishedDistance, Sample, measured_vertices
from pipelines.embedded_face.authored import EYE_CENTRE
from pipelines.embedded_face.build import build_embedded_face, mean_face
from pipelines.embedded_face.calibration import Effects, calibrated_gains
from pipelines.embedded_face.geometry import MIRROR
from pipelines.embedded_face.people import draw_person
from pipelines.embedded_face.radial import HEAD_CENTRE
from pipelines.embedded_face.skin import individual_typology_angle, melanin_of_typology_angle, skin_rgb
from pipelines.embedded_face.template import Part, Template
from pipelines.params import FaceModelParams

PEOPLE = 150


@pytest.fixture(scope="module")
def arrays() -> FaceModelArrays:
    return build_embedded_face(FaceModelParams(source="embedded", root="", seed=5, albedo_samples=PEOPLE))


@pytest.fixture(scope="module")
def template() -> Template:
    return mean_face()


@pytest.fixture(scope="module")
def model(arrays: FaceModelArrays) -> FaceModel:
    return FaceModel(arrays)


def expression_of(arrays: FaceModelArrays, **activations: float) -> torch.Tensor:
    names = arrays.sampling.action_names
    weights = np.array([activations.get(name, 0.0) for name in names], np.float32)
    return torch.from_numpy(weights @ arrays.sampling.action_coefficients)[None]


def area_vectors(vertices: torch.Tensor, triangles: NDArray[np.int32]) -> NDArray[np.float64]:
    corners = vertices.numpy()[triangles].astype(np.float64)
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2


def alignment_centre(landmarks: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean of eye centres, nose tip and mouth corners, in three dimensions."""
    return np.mean([landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0), *landmarks[[30, 48, 54]]], axis=0)


def directed_edges(triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def test_sizes_are_those_of_the_paper(arrays: FaceModelArrays) -> None:
    assert 7500 <= len(arrays.mean_shape) <= 8500
    assert len(arrays.shape_basis) == 199
    assert len(arrays.expression_basis) == 100
    assert len(arrays.diffuse_basis) == len(arrays.specular_basis) == 145
    assert len(set(arrays.landmark_vertices.tolist())) == 68
    assert arrays.uv.min() >= 0
    assert arrays.uv.max() <= 1


def test_a_second_build_of_the_mean_face_gives_the_same_numbers(arrays: FaceModelArrays, template: Template) -> None:
    np.testing.assert_array_equal(arrays.triangles, template.triangles)
    centre = alignment_centre(template.vertices[arrays.landmark_vertices])
    np.testing.assert_array_equal(arrays.mean_shape, (template.vertices - centre).astype(np.float32))


def test_mesh_is_mirror_symmetric_to_the_last_bit(template: Template) -> None:
    np.testing.assert_array_equal(template.vertices[template.mirror], template.vertices * MIRROR)
    faces = {frozenset(face) for face in template.triangles.tolist()}
    assert faces == {frozenset(face) for face in template.mirror[template.triangles].tolist()}


def test_mesh_has_one_outline_and_one_orientation(template: Template) -> None:
    edges = {tuple(edge) for edge in directed_edges(template.triangles).tolist()}
    assert len(edges) == 3 * len(template.triangles), "an edge is run through twice in the same direction"
    outline = {edge for edge in edges if edge[::-1] not in edges}
    assert {vertex for edge in outline for vertex in edge} == set(template.both_sides(template.curves.boundary))


def test_no_triangle_is_degenerate_and_skin_faces_outwards(template: Template) -> None:
    vertices = torch.from_numpy(template.vertices)
    assert np.linalg.norm(area_vectors(vertices, template.triangles), axis=1).min() > 1e-4
    outward = template.vertices[template.skin_triangles].mean(axis=1) - HEAD_CENTRE
    facing = (area_vectors(vertices, template.skin_triangles) * outward).sum(axis=1) > 0
    assert facing.mean() > 0.995  # all but the rims of nostrils and lids


def test_landmarks_are_symmetric_and_on_their_side(arrays: FaceModelArrays) -> None:
    points = arrays.mean_shape[arrays.landmark_vertices]
    np.testing.assert_allclose(points[list(MIRRORED)], points * MIRROR, atol=1e-4)
    assert (points[list(LANDMARKS["right_eye"])][:, 0] < 0).all()
    jaw = points[list(LANDMARKS["jaw"])]
    assert (np.diff(jaw[:9, 1]) < 0).all()
    assert jaw[8, 1] == points[:, 1].min()


def test_origin_is_the_mean_of_the_alignment_points(arrays: FaceModelArrays) -> None:
    landmarks = torch.from_numpy(arrays.mean_shape[arrays.landmark_vertices, :2])
    torch.testing.assert_close(five_points(landmarks).mean(dim=0), torch.zeros(2), atol=1e-3, rtol=0)
    assert abs(alignment_centre(arrays.mean_shape[arrays.landmark_vertices])[2]) < 1e-3


def test_regions_are_where_their_landmarks_are(arrays: FaceModelArrays) -> None:
    of_landmarks = arrays.regions[arrays.landmark_vertices]
    expected = {"jaw": "skin", "inner_mouth": "lips", "right_eyebrow": "brows", "left_eyebrow": "brows"}
    for group, segment in expected.items():
        share = (of_landmarks[list(LANDMARKS[group])] == SEGMENT_INDEX[segment]).mean()
        assert share >= 0.5, (group, segment, share)
    assert of_landmarks[30] == SEGMENT_INDEX["nose"]
    eyes = arrays.mean_shape[arrays.regions == SEGMENT_INDEX["eyes"]]
    assert np.abs(np.abs(eyes[:, 0]) - EYE_CENTRE[0]).max() < 17  # mm, half an eye and its margin
    inside = arrays.mean_shape[arrays.regions == SEGMENT_INDEX["inner_mouth"]]
    lips = arrays.mean_shape[arrays.regions == SEGMENT_INDEX["lips"]]
    corner = arrays.mean_shape[arrays.landmark_vertices[54]]
    assert lips[:, 0].max() == pytest.approx(corner[0], abs=2)
    assert np.median(inside[:, 2]) < np.median(lips[:, 2]) - 5  # mm behind the lips


def test_mouth_patch_has_no_area_when_the_mouth_is_shut(model: FaceModel, arrays: FaceModelArrays) -> None:
    people = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 199)).astype(np.float32))
    shut = model.vertices(people, torch.zeros(5, 100))
    for vertices in shut:
        assert np.abs(area_vectors(vertices, arrays.mouth_triangles)).sum() < 0.1  # mm², float32 rounding


def test_open_jaw_opens_the_mouth_patch_towards_the_viewer(model: FaceModel, arrays: FaceModelArrays) -> None:
    opened = model.vertices(torch.zeros(1, 199), expression_of(arrays, jawOpen=0.5))[0]
    areas = area_vectors(opened, arrays.mouth_triangles)
    assert areas[:, 2].min() > 0
    assert 300 < areas[:, 2].sum() < 1200  # mm²


def test_open_jaw_moves_the_chin_but_neither_eyes_nor_upper_teeth(arrays: FaceModelArrays, template: Template) -> None:
    coefficients = expression_of(arrays, jawOpen=1.0)[0].numpy()
    motion = np.tensordot(coefficients, arrays.expression_basis, axes=1)
    chin = arrays.landmark_vertices[8]
    assert -40 < motion[chin, 1] < -15
    still = template.is_part(Part.EYEBALL, Part.UPPER_TEETH)
    assert np.abs(motion[still]).max() < 1e-3


def test_left_actions_move_the_left_side_only(arrays: FaceModelArrays) -> None:
    motion = np.tensordot(expression_of(arrays, eyeBlink_L=1.0)[0].numpy(), arrays.expression_basis, axes=1)
    assert np.abs(motion[arrays.mean_shape[:, 0] < -6]).max() < 1e-3
    assert motion[arrays.landmark_vertices[[43, 44]], 1].max() < -5


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 1.0])
def test_no_eyeball_pokes_through_a_closing_lid(arrays: FaceModelArrays, template: Template, share: float) -> None:
    coefficients = expression_of(arrays, eyeBlink_L=share)[0].numpy()
    moved = template.vertices + np.tensordot(coefficients, arrays.expression_basis, axes=1)
    lid = moved[template.curves.upper_lid[6:-6]]
    ball = template.vertices[template.is_part(Part.EYEBALL) & (template.vertices[:, 0] > 0)]
    beside = np.linalg.norm(ball[None, :, :2] - lid[:, None, :2], axis=-1).argmin(axis=1)
    assert (lid[:, 2] > ball[beside, 2] + 0.3).all()  # mm; between the vertices a lid is straight and the ball is round


@pytest.fixture(scope="module")
def measured(arrays: FaceModelArrays, template: Template) -> dict[str, NDArray[np.floating]]:
    """Published distances of random people, mm."""
    coefficients = np.random.default_rng(0).normal(size=(4000, 199)).astype(np.float32)
    vertices = measured_vertices(template, arrays.landmark_vertices)
    points = {
        name: arrays.mean_shape[vertex] + coefficients @ arrays.shape_basis[:, vertex]
        for name, vertex in vertices.items()
    }
    return {
        distance.name: np.linalg.norm(points[distance.first] - points[distance.second], axis=-1)
        for distance in PUBLISHED_DISTANCES
    }


@pytest.mark.parametrize("distance", PUBLISHED_DISTANCES, ids=lambda distance: distance.name)
def test_distances_in_the_face_vary_as_published(
    distance: PublishedDistance, measured: dict[str, NDArray[np.floating]]
) -> None:
    assert measured[distance.name].std() == pytest.approx(distance.deviation, rel=0.15)  # 4000 people: 1 % is chance


def test_at_least_twenty_distances_are_compared() -> None:
    assert len({frozenset((distance.first, distance.second)) for distance in PUBLISHED_DISTANCES}) >= 20


@pytest.mark.parametrize("distance", PUBLISHED_DISTANCES, ids=lambda distance: distance.name)
def test_distances_in_the_face_are_as_long_as_published(
    distance: PublishedDistance, measured: dict[str, NDArray[np.floating]]
) -> None:
    """Within 1.5 deviations: the mean face follows the norms in `authored`, of other people."""
    assert measured[distance.name].mean() == pytest.approx(distance.mean, abs=1.5 * distance.deviation)


def test_no_published_distance_vanishes(measured: dict[str, NDArray[np.floating]]) -> None:
    """Points that change places would tear lips or lids."""
    for name, lengths in measured.items():
        assert lengths.min() > 1.0, name  # mm


def test_men_and_women_are_pooled_in_equal_parts() -> None:
    pooled = PublishedDistance("", "n", "sn", men=Sample(12.0, 3.0), women=Sample(8.0, 3.0))
    assert pooled.mean == 10
    assert pooled.deviation == pytest.approx(np.sqrt(9 + 4))


def test_calibration_finds_the_gains_and_leaves_alone_what_no_distance_shows() -> None:
    first, second = PUBLISHED_DISTANCES[:2]
    change = np.array([[2 * first.deviation, 0, 0, 0], [0, 0.3 * second.deviation, 0.4 * second.deviation, 0]])
    gains = calibrated_gains(
        Effects((first, second), change), group=np.array([0, 1, 1, 2]), authored=np.array([1.0, 1.0, 0.7])
    )
    np.testing.assert_allclose(gains[0], 0.5, atol=0.01)
    assert 1.8 < gains[1] < 2.0  # 2.0, were it not drawn towards its authored gain
    assert gains[2] == 0.7


def test_modes_are_ordered_and_orthogonal(arrays: FaceModelArrays) -> None:
    flat = arrays.shape_basis.reshape(199, -1).astype(np.float64)
    lengths = np.linalg.norm(flat, axis=1)
    assert (np.diff(lengths) <= 1e-6 * lengths[0]).all()
    cosines = (flat / lengths[:, None]) @ (flat / lengths[:, None]).T - np.eye(199)
    assert np.abs(cosines[:50, :50]).max() < 0.02


def test_albedo_bank_stays_in_range_and_has_unit_variance(model: FaceModel, arrays: FaceModelArrays) -> None:
    bank = torch.from_numpy(arrays.sampling.albedo_bank)
    assert bank.shape == (PEOPLE, 145)
    assert arrays.sampling.hair_rgb.shape == (PEOPLE, 3)
    np.testing.assert_allclose((bank**2).mean(dim=0), 1, atol=0.02)
    for albedo in model.albedos(bank):
        assert albedo.min() > -0.05
        assert albedo.max() < 1


def test_skin_tones_are_spread_evenly(model: FaceModel, arrays: FaceModelArrays) -> None:
    near_cheek = np.linalg.norm(np.abs(arrays.mean_shape[:, :2]) - [42, 2], axis=1) < 10
    cheek = near_cheek & (arrays.regions == SEGMENT_INDEX["skin"])
    diffuse = model.albedos(torch.from_numpy(arrays.sampling.albedo_bank)).diffuse[:, cheek].mean(dim=1)
    shares = np.histogram(individual_typology_angle(diffuse.numpy()), bins=[-90, -30, 10, 28, 41, 90])[0] / PEOPLE
    assert shares.min() > 0.08, shares  # red cheeks move the lightest over the last limit at 55


def test_fitzpatricks_six_types_are_equally_frequent() -> None:
    generator = np.random.default_rng(0)
    melanin = [draw_person((index + 0.5) / 60, generator).melanin for index in range(60)]
    tones = individual_typology_angle(skin_rgb(melanin, 0.0055))
    counts = np.histogram(tones, bins=[-90, -30, 10, 28, 41, 55, 90])[0]
    assert counts.min() >= 9 and counts.max() <= 11, counts


def test_parts_of_the_mean_face_have_their_colours(arrays: FaceModelArrays) -> None:
    colour = {
        name: arrays.mean_diffuse[arrays.regions == number].mean(axis=0)
        for name, number in SEGMENT_INDEX.items()
        if (arrays.regions == number).any()
    }
    assert colour["brows"].sum() < 0.7 * colour["skin"].sum()
    assert colour["lips"][0] / colour["lips"][1] > 1.2 * colour["skin"][0] / colour["skin"][1]
    assert colour["inner_mouth"].sum() < colour["skin"].sum()
    specular = {name: arrays.mean_specular[arrays.regions == SEGMENT_INDEX[name]].mean() for name in ("eyes", "skin")}
    assert specular["eyes"] > 2 * specular["skin"]


def test_more_melanin_is_darker_and_more_blood_is_redder() -> None:
    light, dark = skin_rgb(0.02, 0.005), skin_rgb(0.3, 0.005)
    assert (dark < light).all()
    pale, red = skin_rgb(0.02, 0.002), skin_rgb(0.02, 0.03)
    assert red[0] / red[1] > pale[0] / pale[1]


@pytest.mark.parametrize("angle", [-30.0, 0.0, 45.0])
def test_melanin_gives_the_typology_angle_asked_for(angle: float) -> None:
    melanin = melanin_of_typology_angle(angle, blood=0.0055)
    assert individual_typology_angle(skin_rgb(melanin, 0.0055)) == pytest.approx(angle, abs=1.0)


def test_typology_angle_of_known_colours() -> None:
    """White has no yellow: 90 degrees. The light skin patch of the colour checker, L 65.7 and b 17.8: 41 degrees."""
    assert individual_typology_angle([1.0, 1.0, 1.0]) == pytest.approx(90, abs=1)
    assert individual_typology_angle([0.543, 0.306, 0.223]) == pytest.approx(41, abs=2)
