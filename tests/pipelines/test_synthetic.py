"""Synthetic photographs: the ground truth is what the picture shows, and randomness hangs on seeds alone."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.camera import camera_from_model, clip_from_camera, pixel_from_clip
from models.coefficients import Coefficients, CoefficientSizes
from models.face_model import FaceModel
from models.networks.regressor import neutral_coefficients, raw_from_coefficients
from models.renderer import full_picture, render_face
from models.segments import FACE_SEGMENTS, SEGMENT_INDEX
from pipelines.face_model_file import save_face_model
from pipelines.synthetic.accessories import Accessories
from pipelines.synthetic.background import background
from pipelines.synthetic.camera_noise import Sensor
from pipelines.synthetic.face import Face, face_from_coefficients, face_topology
from pipelines.synthetic.generate import DataSetSize, TakenPhotograph, generate, head_of
from pipelines.synthetic.head import Head
from pipelines.synthetic.light import LIGHT_KINDS, draw_light
from pipelines.synthetic.meshes import outer_boundary
from pipelines.synthetic.occluders import Occluder
from pipelines.synthetic.person import (
    Person,
    draw_expression,
    draw_person,
    expression_from_actions,
    skin_tone_ita,
)
from pipelines.synthetic.photograph import photograph
from pipelines.synthetic.view import NOTHING_WORN, Chances, View, draw_view
from tests.toy import toy_face_arrays

SIZE = 128
CLEAR = Sensor(blur_px=0.0, resolution=1.0, noise=0.0, jpeg_quality=95, seed=0)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel(toy_face_arrays())


@pytest.fixture(scope="module")
def person(model: FaceModel) -> Person:
    drawn = draw_person(model, np.random.default_rng(3))
    return drawn._replace(hair=drawn.hair._replace(name="short", volume=9.0, hairline=66.0, receding=2.0))


@pytest.fixture(scope="module")
def head(model: FaceModel, person: Person) -> Head:
    return head_of(model, face_topology(model), person)


def _face(model: FaceModel, person: Person, expression: np.ndarray) -> Face:
    return face_from_coefficients(
        model,
        face_topology(model),
        shape=person.shape,
        expression=expression.astype(np.float32),
        diffuse=person.diffuse,
        specular=person.specular,
    )


def _view(seed: int = 0, *, yaw: float = 0.0, glasses: str = "", hat: str = "", occluder: str = "") -> View:
    drawn = draw_view(np.random.default_rng(seed), 1000.0, chances=NOTHING_WORN)
    black = np.zeros(3, np.float32)
    return drawn._replace(
        euler_angles=np.array([0.05, yaw, 0.02], np.float32),
        sensor=CLEAR,
        shift=(0.02, -0.03),
        accessories=Accessories(glasses, hat, black, black + 0.3, seed=5),
        occluder=Occluder(occluder, seed=1),
    )


def _classes(segments: np.ndarray) -> set[int]:
    return set(np.unique(segments).tolist())


def test_truth_coefficients_project_to_the_stored_landmarks(model: FaceModel, person: Person, head: Head) -> None:
    expression = np.array([0.7, 0.3, -0.2, 0.1, 0.4], np.float32)
    view = _view(yaw=0.4)
    taken = photograph(_face(model, person, expression), head, view, size=SIZE)
    vertices = model.vertices(torch.from_numpy(person.shape)[None], torch.from_numpy(expression)[None])
    posed = camera_from_model(
        model.landmarks(vertices), torch.from_numpy(view.euler_angles)[None], torch.zeros(1, 3), torch.ones(1, 1)
    )
    pixels = pixel_from_clip(clip_from_camera(posed, view.camera), (SIZE, SIZE))[0].numpy()
    np.testing.assert_allclose(taken.landmarks, pixels + np.array(view.shift) * SIZE, atol=1e-3)


def test_truth_coefficients_render_the_colours_of_the_photograph(model: FaceModel, person: Person, head: Head) -> None:
    view = _view()
    glancing = view.light._replace(positions=np.array([[200, 100, 1500]], np.float32), shininess=10.0)
    view = view._replace(shift=(0.0, 0.0), light=glancing)
    neutral = np.zeros(model.expression_size, np.float32)
    taken = photograph(_face(model, person, neutral), head, view, size=SIZE)
    light = view.light
    coefficients = Coefficients(
        shape=torch.from_numpy(person.shape)[None],
        expression=torch.from_numpy(neutral)[None],
        albedo=torch.from_numpy(person.albedo)[None],
        euler_angles=torch.from_numpy(view.euler_angles)[None],
        translation=torch.zeros(1, 3),
        scale=torch.ones(1, 1),
        sh_coefficients=torch.from_numpy(light.sh_coefficients)[None],
        light_position=torch.from_numpy(light.positions)[None],
        light_strength=torch.from_numpy(light.strengths)[None],
        shininess=torch.full((1, 1), light.shininess),
    )
    rendering = render_face(model, coefficients, view.camera, SIZE)
    rendered = full_picture(rendering)[0].permute(1, 2, 0).numpy()
    skin = (taken.segments == SEGMENT_INDEX["skin"]) & (rendering.coverage[0, 0].numpy() > 0)
    inside = skin & np.roll(skin, 3, 0) & np.roll(skin, -3, 0) & np.roll(skin, 3, 1) & np.roll(skin, -3, 1)
    difference = np.abs(rendered - taken.picture / 255)[inside]
    assert inside.sum() > 300
    assert np.median(difference) < 1.5 / 255  # rounding to 8 bits; edges of the coarse toy's colours differ more


def test_segments_hold_the_face_the_hair_and_the_background(model: FaceModel, person: Person, head: Head) -> None:
    opened = np.array([1.5, 0, 0, 0, 0])
    taken = photograph(_face(model, person, opened), head, _view(), size=SIZE)
    expected = {SEGMENT_INDEX[name] for name in (*FACE_SEGMENTS, "inner_mouth", "hair", "background")}
    assert _classes(taken.segments) == expected
    assert taken.mouth_open_px > 5


def test_the_landmarks_lie_in_their_segments(model: FaceModel, person: Person, head: Head) -> None:
    taken = photograph(_face(model, person, np.zeros(5)), head, _view(), size=SIZE)
    for name, points in (
        ("eyes", slice(36, 48)),
        ("brows", slice(17, 27)),
        ("nose", slice(27, 36)),
        ("lips", slice(48, 60)),
    ):
        centre = np.argwhere(taken.segments == SEGMENT_INDEX[name]).mean(axis=0)[::-1] + 0.5
        assert np.linalg.norm(centre - taken.landmarks[points].mean(axis=0)) < 5, name  # px; a toy's cell has 4


def test_glasses_and_hat_are_segments_of_their_own(model: FaceModel, person: Person, head: Head) -> None:
    face = _face(model, person, np.zeros(5))
    for hat in ("beanie", "cap"):
        taken = photograph(face, head, _view(glasses="sun", hat=hat), size=SIZE)
        assert {SEGMENT_INDEX["glasses"], SEGMENT_INDEX["hat"]} <= _classes(taken.segments)
        assert not taken.landmarks_visible[[37, 44]].any()  # behind the dark lenses


def test_a_mask_hides_the_mouth_but_not_the_eyes(model: FaceModel, person: Person, head: Head) -> None:
    taken = photograph(_face(model, person, np.zeros(5)), head, _view(occluder="mask"), size=SIZE)
    assert SEGMENT_INDEX["lips"] not in _classes(taken.segments)
    assert not taken.landmarks_visible[48:].any()
    assert taken.landmarks_visible[36:48].all()


@pytest.mark.parametrize("occluder", ["hand", "object"])
def test_occluders_are_background_for_the_face(model: FaceModel, person: Person, head: Head, occluder: str) -> None:
    face = _face(model, person, np.zeros(5))
    free = photograph(face, head, _view(), size=SIZE)
    hidden = photograph(face, head, _view(occluder=occluder), size=SIZE)
    changed = free.segments != hidden.segments
    assert changed.any()
    assert (hidden.segments[changed] == SEGMENT_INDEX["background"]).all()


def test_the_far_cheek_is_hidden_in_profile(model: FaceModel, person: Person, head: Head) -> None:
    taken = photograph(_face(model, person, np.zeros(5)), head, _view(yaw=1.3), size=SIZE)
    assert taken.landmarks_visible[0:4].sum() + taken.landmarks_visible[13:17].sum() <= 5
    near, far = taken.landmarks_visible[36:42], taken.landmarks_visible[42:48]
    assert near.all() != far.all()


def test_any_mesh_can_be_photographed(model: FaceModel, person: Person, head: Head) -> None:
    face = _face(model, person, np.zeros(5))
    bumps = np.random.default_rng(0).normal(0, 2.0, face.mesh.vertices.shape).astype(np.float32)
    outside = face._replace(mesh=face.mesh._replace(vertices=face.mesh.vertices + bumps))
    assert (
        photograph(outside, head, _view(), size=SIZE).picture != photograph(face, head, _view(), size=SIZE).picture
    ).any()


def test_a_model_without_the_inside_of_a_mouth_gets_a_dark_one(person: Person, head: Head) -> None:
    arrays = toy_face_arrays()
    arrays.regions[arrays.regions == SEGMENT_INDEX["inner_mouth"]] = SEGMENT_INDEX["skin"]
    hollow = FaceModel(arrays)
    taken = photograph(_face(hollow, person, np.array([1.5, 0, 0, 0, 0])), head, _view(), size=SIZE)
    assert SEGMENT_INDEX["inner_mouth"] in _classes(taken.segments)


def test_boundary_of_a_closed_mesh_is_an_error() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    with pytest.raises(ValueError, match="closed"):
        outer_boundary(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], np.int32))


def test_actions_without_a_side_act_on_both(model: FaceModel) -> None:
    np.testing.assert_array_equal(expression_from_actions(model, {"mouthSmile": 0.5}), [0, 0.5, 0, 0, 0])
    with pytest.raises(ValueError, match="jawOpen, mouthSmile"):
        expression_from_actions(model, {"wink": 1.0})


def test_expressions_of_named_actions_never_close_a_closed_mouth(model: FaceModel) -> None:
    drawn = np.array([draw_expression(model, np.random.default_rng(seed)) for seed in range(50)])
    assert drawn[:, 0].min() >= 0
    assert drawn[:, 0].max() > 0.3


def test_shininess_has_the_spread_that_the_regressor_counts_in() -> None:
    """Adam's steps are of one length in all outputs: a group that spreads less than the others is moved too far."""
    generator = np.random.default_rng(4)
    shininess = torch.tensor([[draw_light(generator).shininess] for _ in range(300)])
    neutral = neutral_coefficients(CoefficientSizes(1, 1, 1), len(shininess))
    raw = raw_from_coefficients(neutral._replace(shininess=shininess))[:, -1]
    assert 0.7 < raw.std() < 1.5


def test_skin_tone_is_positive_for_light_and_negative_for_dark_skin() -> None:
    light, dark = np.array([0.62, 0.42, 0.30], np.float32), np.array([0.06, 0.03, 0.018], np.float32)
    assert skin_tone_ita(light) > 28 > -30 > skin_tone_ita(dark)


def test_skin_tone_of_a_known_colour() -> None:
    # sRGB (187, 143, 102): L* 62.9, b* 28.6 by the CIE formulas, so atan2(12.9, 28.6).
    linear = (np.array([187, 143, 102]) / 255 + 0.055) ** 2.4 / 1.055**2.4
    assert skin_tone_ita(linear.astype(np.float32)) == pytest.approx(np.degrees(np.arctan2(12.9, 28.6)), abs=1.0)


def test_light_of_every_kind_is_about_one_on_a_face() -> None:
    for kind in LIGHT_KINDS:
        light = draw_light(np.random.default_rng(1), kind=kind)
        assert light.kind == kind
        assert 0.3 < light.sh_coefficients[0].mean() * 0.2821 < 1.6
        assert light.shininess > 1


def test_the_strongest_lamps_cause_the_highlights() -> None:
    drawn = [draw_light(np.random.default_rng(seed), lights=3) for seed in range(40)]
    for light in drawn:
        assert light.positions.shape == (3, 3) and (np.linalg.norm(light.positions, axis=1) >= 700).all()
        assert light.strengths[0] == 1 and (np.diff(light.strengths) <= 0).all() and (light.strengths >= 0).all()
    lamps = np.array([np.count_nonzero(light.strengths) for light in drawn])
    assert set(lamps.tolist()) == {1, 2, 3}  # fewer lamps than lights leave the others dark


def test_backgrounds_are_deterministic_pictures() -> None:
    for seed in range(12):
        first, second = (background(np.random.default_rng(seed), 64) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert first.shape == (64, 64, 3)
        assert 0 <= first.min() <= first.max() <= 1


def _generated(folder: Path, people: Sequence[int] = range(3)) -> list[TakenPhotograph]:
    path = folder / "face_model.h5"
    save_face_model(path, toy_face_arrays())
    size = DataSetSize(
        photographs_per_person=2,
        size=SIZE,
        distance_mm=1000.0,
        chances=Chances(0.3, 0.3, 0.3),
        specular_lights=2,
        seed=4,
    )
    return list(generate(path, size, people))


def test_a_photograph_depends_on_nothing_but_its_person_and_number(tmp_path: Path) -> None:
    everyone = _generated(tmp_path)
    assert [*_generated(tmp_path, [2]), *_generated(tmp_path, [0])] == everyone[4:] + everyone[:2]


def test_a_person_keeps_shape_and_albedo_over_photographs(tmp_path: Path) -> None:
    taken = _generated(tmp_path)
    assert [one.key for one in taken[:3]] == ["00000-000", "00000-001", "00001-000"]
    first, second, other = (one.truth for one in taken[:3])
    for same in ("shape", "albedo", "skin_tone_ita"):
        assert first[same] == second[same] != other[same]
    for different in ("expression", "euler_angles", "sh_coefficients", "light_position"):
        assert first[different] != second[different]


def test_members_decode_to_the_asked_size(tmp_path: Path) -> None:
    one = _generated(tmp_path)[0]
    assert Image.open(io.BytesIO(one.picture)).size == (SIZE, SIZE)
    segments = np.asarray(Image.open(io.BytesIO(one.segments)))
    assert segments.shape == (SIZE, SIZE)
    assert len(one.truth["landmarks"]) == 136  # type: ignore[arg-type]
    assert len(one.truth["sh_coefficients"]) == 27  # type: ignore[arg-type]
