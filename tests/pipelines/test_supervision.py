import math

import pytest
import torch

from models.augmentation import Movements, random_movements
from models.camera import rotation_from_euler
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.light import diffuse_shading
from models.networks.regressor import neutral_coefficients
from models.normals import vertex_normals
from models.renderer import landmark_pixels, pose_face
from pipelines.supervision import Supervision, Truth, mirror_partners
from tests.label_tree import CAMERA, SIZE, SIZES, random_faces
from tests.toy import toy_face_arrays

_WEIGHTS = {"vertex_weight": 1.0, "landmark_weight": 1.0, "highlight_weight": 1.0}


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel(toy_face_arrays())


@pytest.fixture(scope="module")
def supervision(model: FaceModel) -> Supervision:
    return Supervision(model, CAMERA, SIZE, **_WEIGHTS)


def _known(model: FaceModel, true: Coefficients) -> Truth:
    return Truth(true, landmark_pixels(model, pose_face(model, true, CAMERA), SIZE))


def _unmoved(count: int) -> Movements:
    return Movements(torch.eye(2, 3).expand(count, 2, 3), torch.zeros(count, dtype=torch.bool))


def _mirrored(count: int) -> Movements:
    mirror = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    return Movements(mirror.expand(count, 2, 3), torch.ones(count, dtype=torch.bool))


def test_the_truth_costs_nothing(model: FaceModel, supervision: Supervision) -> None:
    true = random_faces(3)
    for name, loss in supervision(true, _known(model, true), _unmoved(3))._asdict().items():
        assert loss.item() == pytest.approx(0, abs=1e-5), name


@pytest.mark.parametrize(
    ("group", "term"),
    [
        ("shape", "vertices"),
        ("expression", "vertices"),
        ("translation", "landmarks"),
        ("scale", "landmarks"),
        ("euler_angles", "pose"),
        ("albedo", "albedo"),
        ("sh_coefficients", "light"),
        ("light_position", "highlight"),
        ("light_strength", "highlight"),
        ("shininess", "highlight"),
    ],
)
def test_every_group_is_taught_by_its_term(model: FaceModel, supervision: Supervision, group: str, term: str) -> None:
    true = random_faces(2)
    groups = {name: value.clone().requires_grad_(name == group) for name, value in true._asdict().items()}
    wrong = Coefficients(**{name: value + 0.3 if name == group else value for name, value in groups.items()})
    getattr(supervision(wrong, _known(model, true), _unmoved(2)), term).backward()
    gradient = groups[group].grad
    assert gradient is not None and gradient.isfinite().all() and (gradient != 0).any()


def test_gradients_at_the_truth_are_finite(model: FaceModel, supervision: Supervision) -> None:
    true = random_faces(2)
    guess = Coefficients(*(group.clone().requires_grad_() for group in true))
    torch.stack(supervision(guess, _known(model, true), _unmoved(2))).sum().backward()
    assert all(group.grad is not None and group.grad.isfinite().all() for group in guess)


def test_terms_of_an_untrained_network_are_about_one(model: FaceModel, supervision: Supervision) -> None:
    losses = supervision(neutral_coefficients(SIZES, 6), _known(model, random_faces(6)), _unmoved(6))
    assert all(0 <= loss < 30 for loss in losses)
    assert losses.vertices > 0.1 and losses.albedo > 0.05


@pytest.mark.parametrize(
    ("weight", "term"),
    [("vertex_weight", "vertices"), ("landmark_weight", "landmarks"), ("highlight_weight", "highlight")],
)
def test_each_weight_multiplies_its_term_alone(
    model: FaceModel, supervision: Supervision, weight: str, term: str
) -> None:
    known, guess = _known(model, random_faces(2)), neutral_coefficients(SIZES, 2)
    heavier = Supervision(model, CAMERA, SIZE, **{**_WEIGHTS, weight: 3.0})
    once, thrice = (one(guess, known, _unmoved(2)) for one in (supervision, heavier))
    torch.testing.assert_close(getattr(thrice, term), 3 * getattr(once, term))
    torch.testing.assert_close(thrice._replace(**{term: getattr(once, term)}), once)


def test_more_lights_than_the_photograph_has_are_taught_to_be_dark(model: FaceModel, supervision: Supervision) -> None:
    known = _known(model, random_faces(2))
    position = known.coefficients.light_position
    aside = torch.cat([position, position + 300], dim=1)
    strength = torch.tensor([[1.0, 0.25]]).expand(2, 2)
    two = known.coefficients._replace(light_position=aside, light_strength=strength)
    assert supervision(two, known, _unmoved(2)).highlight.item() == pytest.approx(0.25, abs=1e-5)
    # The other way round the network lacks a light, which costs as much.
    assert supervision(known.coefficients, known._replace(coefficients=two), _unmoved(2)).highlight.item() == (
        pytest.approx(0.25, abs=1e-5)
    )


def test_a_light_counts_as_much_as_it_is_bright(model: FaceModel, supervision: Supervision) -> None:
    known = _known(model, random_faces(2))
    true = known.coefficients
    faint = torch.tensor([[1.0, 0.25]]).expand(2, 2)
    two = true._replace(light_position=true.light_position.expand(-1, 2, -1).clone(), light_strength=faint)
    turned = two.light_position.clone()
    turned[:, 1] *= -1  # the opposite direction: one minus the cosine is 2
    loss = supervision(two._replace(light_position=turned), known._replace(coefficients=two), _unmoved(2)).highlight
    assert loss.item() == pytest.approx(2 * 0.25, abs=1e-5)


def test_shininess_of_regions_is_compared_with_the_one_of_the_truth(model: FaceModel, supervision: Supervision) -> None:
    known = _known(model, random_faces(2))
    off = known.coefficients.shininess * torch.tensor([[1.0, math.e]])
    loss = supervision(known.coefficients._replace(shininess=off), known, _unmoved(2)).highlight
    assert loss.item() == pytest.approx(0.5 / 2, abs=1e-5)  # mean over both regions, half the weight


def test_partners_mirror_the_mean_face(model: FaceModel) -> None:
    """Also where the closed lips touch: an upper vertex has an upper partner, or mirrored mouths would not open."""
    partners = mirror_partners(model.mean_shape, model.triangles)
    torch.testing.assert_close(model.mean_shape[partners] * torch.tensor([-1.0, 1.0, 1.0]), model.mean_shape)
    torch.testing.assert_close(partners[partners], torch.arange(len(partners)))


def test_a_mirrored_face_looks_like_the_mirror_image(model: FaceModel, supervision: Supervision) -> None:
    """Lit and posed with the mirrored targets, each vertex has the place and the colour of its partner's reflection."""
    true = random_faces(4)
    here = supervision.targets(_known(model, true), _unmoved(4))
    there = supervision.targets(_known(model, true), _mirrored(4))
    partners, mirror = supervision.partners, torch.tensor([-1.0, 1.0, 1.0])
    places, colours = [], []
    for faces in (here, there):
        posed = faces.vertices @ rotation_from_euler(faces.euler_angles).mT
        normals = vertex_normals(posed, model.triangles)
        places.append(posed)
        colours.append(diffuse_shading(faces.albedos[..., :3], normals, faces.sh_coefficients))
    torch.testing.assert_close(places[1], places[0][:, partners] * mirror, atol=1e-3, rtol=1e-4)
    offset = (colours[1] - colours[0][:, partners]).abs()
    assert offset.median() < 1e-4  # the toy's triangles are not mirror images, so normals differ a little at the rim
    torch.testing.assert_close(there.light_position, here.light_position * mirror)
    torch.testing.assert_close(there.shininess, here.shininess)


def test_landmarks_of_a_mirrored_picture_fit_the_mirrored_face(model: FaceModel, supervision: Supervision) -> None:
    true = random_faces(4)._replace(translation=torch.zeros(4, 3), scale=torch.ones(4, 1))
    wanted = supervision.targets(_known(model, true), _mirrored(4))
    vertices = model.landmarks(wanted.vertices)
    posed = vertices @ rotation_from_euler(wanted.euler_angles).mT
    focal = CAMERA.focal_length * SIZE / 2
    depth = CAMERA.distance_mm - posed[..., 2]
    x = SIZE / 2 + focal * posed[..., 0] / depth
    y = SIZE / 2 - focal * posed[..., 1] / depth
    torch.testing.assert_close(torch.stack([x, y], -1), wanted.landmarks, atol=0.05, rtol=0)


def test_a_shift_moves_the_landmarks_and_nothing_else(model: FaceModel, supervision: Supervision) -> None:
    known = _known(model, random_faces(3))
    shift = Movements(torch.tensor([[1.0, 0.0, 0.1], [0.0, 1.0, -0.2]]).expand(3, 2, 3), _unmoved(3).mirrored)
    here, there = (supervision.targets(known, movements) for movements in (_unmoved(3), shift))
    torch.testing.assert_close(there.landmarks, here.landmarks + SIZE / 2 * torch.tensor([0.1, -0.2]))
    torch.testing.assert_close(there._replace(landmarks=here.landmarks), here)


def test_only_the_chosen_faces_are_mirrored(model: FaceModel, supervision: Supervision) -> None:
    movements = random_movements(8, torch.Generator().manual_seed(1), rotation_degrees=0.0, log_scale=0.05, shift=0.05)
    assert 0 < movements.mirrored.sum() < 8
    known = _known(model, random_faces(8))
    here, there = (supervision.targets(known, m) for m in (_unmoved(8), movements))
    same = (here.euler_angles == there.euler_angles).all(dim=1)
    assert same.tolist() == (~movements.mirrored).tolist()
