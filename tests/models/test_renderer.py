import math
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from models import rasterizer
from models.camera import Camera
from models.coefficients import Coefficients, CoefficientSizes
from models.face_model import FaceModel
from models.landmarks import LANDMARKS
from models.networks.regressor import neutral_coefficients
from models.rasterizer import EdgeMethod, coverage, cuda, edge_gradient, rasterize
from models.renderer import (
    PosedFace,
    diffuse_picture,
    full_picture,
    landmark_pixels,
    patch_mask,
    pose_face,
    render,
    render_face,
    specular_picture,
)
from tests.toy import toy_face_arrays

CAMERA = Camera(math.radians(12.6), 1000.0)
SIZE = 96


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel(toy_face_arrays())


def _coefficients(model: FaceModel, batch: int = 1, **changes: torch.Tensor) -> Coefficients:
    sizes = CoefficientSizes(model.shape_size, model.expression_size, model.albedo_size)
    return neutral_coefficients(sizes, batch)._replace(**changes)


def _open(by: float) -> torch.Tensor:
    """Expression whose first mode opens the toy's mouth."""
    return torch.tensor([[by, 0.0, 0.0, 0.0, 0.0]])


def test_shapes_and_ranges(model: FaceModel) -> None:
    rendering = render_face(model, _coefficients(model, 2), CAMERA, SIZE)
    assert rendering.diffuse.shape == rendering.specular.shape == (2, 3, SIZE, SIZE)
    assert rendering.coverage.shape == rendering.mouth.shape == (2, 1, SIZE, SIZE)
    for picture in (full_picture(rendering), diffuse_picture(rendering)):
        assert picture.min() >= 0 and 0.3 < picture.max() <= 1


def test_the_face_fills_the_middle_and_the_rest_is_black(model: FaceModel) -> None:
    rendering = render_face(model, _coefficients(model), CAMERA, SIZE)
    # The toy is about 130 mm × 143 mm in a picture of 221 mm.
    assert rendering.coverage.mean().item() == pytest.approx(130 * 143 / 221**2, rel=0.15)
    assert set(rendering.coverage.unique().tolist()) == {0.0, 1.0}
    assert rendering.coverage[0, 0, SIZE // 2, SIZE // 2] == 1
    outside = rendering.coverage[0, 0] == 0
    assert (full_picture(rendering)[0][:, outside] == 0).all()
    assert (full_picture(rendering)[0][:, ~outside].sum(dim=0) > 0).all()


def test_the_full_picture_adds_light_before_gamma(model: FaceModel) -> None:
    rendering = render_face(model, _coefficients(model), CAMERA, SIZE)
    y = x = SIZE // 2
    light = (rendering.diffuse + rendering.specular)[0, :, y, x]
    assert (rendering.specular[0, :, y, x] > 0).all()
    torch.testing.assert_close(full_picture(rendering)[0, :, y, x], light.clamp(max=1) ** (1 / 2.2))


def test_diffuse_and_specular_pictures_are_the_parts_of_the_full_one(model: FaceModel) -> None:
    rendering = render_face(model, _coefficients(model), CAMERA, SIZE)
    dull = rendering._replace(specular=torch.zeros_like(rendering.specular))
    assert torch.equal(full_picture(dull), diffuse_picture(rendering))
    black = rendering._replace(diffuse=torch.zeros_like(rendering.diffuse))
    assert torch.equal(full_picture(black), specular_picture(rendering))
    assert specular_picture(rendering).max() > 0.05


def test_a_second_light_adds_a_second_highlight(model: FaceModel) -> None:
    one = _coefficients(model)
    aside = torch.tensor([[[0.0, 250.0, 700.0], [-900.0, 0.0, 300.0]]])
    two = one._replace(light_position=aside, light_strength=torch.tensor([[1.0, 0.5]]))
    specular = [render_face(model, c, CAMERA, SIZE).specular[0].sum(dim=0) for c in (one, two)]
    added = specular[1] - specular[0]
    assert added.min() >= 0
    columns = torch.arange(SIZE).float()
    middles = [(picture.sum(dim=0) * columns).sum() / picture.sum() for picture in (specular[0], added)]
    assert middles[1] < middles[0] - 3  # the new one lies to the left, where its light is


def test_each_region_shines_by_its_own_exponent(model: FaceModel) -> None:
    regions = model.region_count
    assert regions > 1
    one = _coefficients(model)
    evenly = pose_face(model, one._replace(shininess=one.shininess.expand(1, regions)), CAMERA).lit_specular
    torch.testing.assert_close(evenly, pose_face(model, one, CAMERA).lit_specular)
    powers = one.shininess.repeat(1, regions)
    powers[0, 0] = 1.0  # the region with the smallest number
    blunt = pose_face(model, one._replace(shininess=powers), CAMERA).lit_specular
    changed = (blunt != evenly).any(dim=-1)[0]
    first = model.regions == model.regions.min()
    assert changed.any() and not changed[~first].any()


def test_a_wrong_number_of_exponents_is_refused(model: FaceModel) -> None:
    wrong = _coefficients(model, shininess=torch.full((1, model.region_count + 1), 20.0))
    with pytest.raises(ValueError, match="values of shininess; expected 1 or one for"):
        pose_face(model, wrong, CAMERA)


def test_a_face_moved_up_and_right_is_drawn_up_and_right(model: FaceModel) -> None:
    moved = _coefficients(model, translation=torch.tensor([[30.0, 30.0, 0.0]]))
    middle, shifted = (render_face(model, c, CAMERA, SIZE).coverage[0, 0] for c in (_coefficients(model), moved))
    pixels = 30 / 221 * SIZE
    for axis, expected in ((1, pixels), (0, -pixels)):  # columns to the right, rows up
        centres = [mask.nonzero()[:, axis].float().mean().item() for mask in (middle, shifted)]
        assert centres[1] - centres[0] == pytest.approx(expected, rel=0.1)


def test_landmarks_lie_on_the_picture_of_their_vertices(model: FaceModel) -> None:
    face = pose_face(model, _coefficients(model), CAMERA)
    points = landmark_pixels(model, face, 224)[0]
    assert points.min() > 0 and points.max() < 224
    chin, nose_bridge = points[8], points[27]
    assert chin[1] > nose_bridge[1]
    assert points[LANDMARKS["right_eye"][0], 0] < points[LANDMARKS["left_eye"][0], 0]
    torch.testing.assert_close(landmark_pixels(model, face, 112)[0], points / 2)


def test_a_closed_mouth_has_no_area(model: FaceModel) -> None:
    assert render_face(model, _coefficients(model), CAMERA, SIZE).mouth.sum() == 0


def test_an_open_mouth_has_the_area_of_its_gap(model: FaceModel) -> None:
    mouth = render_face(model, _coefficients(model, expression=_open(1.5)), CAMERA, 224).mouth
    millimetres = mouth.sum().item() * (221 / 224) ** 2
    # 15 mm high in the middle and 52 mm wide; falls off like a parabola of 62 mm: 0.67 to 0.85 of the rectangle.
    assert 0.55 * 15 * 52 < millimetres < 0.9 * 15 * 52
    points = landmark_pixels(model, pose_face(model, _coefficients(model, expression=_open(1.5)), CAMERA), 224)[0]
    rows = mouth[0, 0].nonzero()[:, 0]
    inner = points[list(LANDMARKS["inner_mouth"]), 1]
    assert inner.min() - 2 < rows.min() and rows.max() < inner.max() + 2


def test_a_larger_mouth_area_is_reached_by_opening_it(model: FaceModel) -> None:
    expression = _open(1.0).requires_grad_()
    render_face(model, _coefficients(model, expression=expression), CAMERA, SIZE).mouth.sum().backward()
    assert expression.grad is not None and expression.grad.isfinite().all()

    def area(by: float) -> float:
        return render_face(model, _coefficients(model, expression=_open(by)), CAMERA, 448).mouth.sum().item()

    finer = (SIZE / 448) ** 2  # a large picture counts the area better
    slope = (area(1.2) - area(0.8)) / 0.4 * finer
    assert expression.grad[0, 0].item() == pytest.approx(slope, rel=0.3)  # pixels at 96 px quantise the outline


def test_every_group_gets_a_finite_gradient_from_the_picture(model: FaceModel) -> None:
    generator = torch.Generator().manual_seed(0)
    groups = [
        (group + 0.01 * torch.randn(group.shape, generator=generator)).requires_grad_()
        for group in _coefficients(model, expression=_open(0.5))
    ]
    rendering = render_face(model, Coefficients(*groups), CAMERA, SIZE)
    target = torch.rand(1, 3, SIZE, SIZE, generator=generator)
    (full_picture(rendering) - target).square().sum().backward()
    for name, group in zip(Coefficients._fields, groups, strict=True):
        assert group.grad is not None and group.grad.isfinite().all(), name
        assert group.grad.abs().max() > 0, name


def test_a_closed_mouth_gives_no_large_gradient(model: FaceModel) -> None:
    light = 0.3 * torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(1))
    light[:, 0] += 2.4
    expression = _open(0.0).requires_grad_()
    face = pose_face(model, _coefficients(model, expression=expression, sh_coefficients=light), CAMERA)
    (face.lit_diffuse.sum() + render(model, face, SIZE).mouth.sum()).backward()
    # The wall behind closed lips has no direction; dividing by its zero length would give 1e10 here.
    assert expression.grad is not None and expression.grad.abs().max() < 1e3


def _faces_in_places(model: FaceModel, expression: Tensor) -> PosedFace:
    """Three faces in different places with one expression."""
    places = torch.tensor([[0.0, 0.0, 0.0], [41.3, -37.1, 0.0], [-25.0, 12.7, 30.0]])
    return pose_face(model, _coefficients(model, 3, expression=expression.expand(3, -1), translation=places), CAMERA)


@pytest.mark.parametrize("window_side", [None, SIZE // 2, 3 * SIZE])  # as on the CPU; as on a GPU; and too large
@pytest.mark.parametrize("samples", [1, 3])
def test_a_patch_drawn_in_its_window_is_the_patch_drawn_in_the_whole_picture(
    model: FaceModel, samples: int, window_side: int | None
) -> None:
    clip = _faces_in_places(model, _open(1.3)).clip[:, model.mouth_vertices]
    triangles, fine = model.mouth_corners, (SIZE * samples, SIZE * samples)
    change = torch.randn(3, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    found, expected = clip.clone().requires_grad_(), clip.clone().requires_grad_()
    mask = patch_mask(found, triangles, SIZE, samples=samples, window_side=window_side)
    ids = rasterize(clip, triangles, fine)
    whole = edge_gradient(coverage(ids), expected, triangles, ids, occlusion=False).permute(0, 3, 1, 2)
    whole = avg_pool2d(whole, samples)
    torch.testing.assert_close(mask, whole)
    for picture in (mask, whole):
        (picture * change).sum().backward()
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-5)
    assert (mask.sum(dim=(1, 2, 3)) > 5).all()


def test_a_window_of_given_side_asks_nothing_of_the_device(model: FaceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_ids(clip: Tensor, triangles: Tensor, size: tuple[int, int]) -> Tensor:
        return torch.empty(len(clip), *size, dtype=torch.int32, device=clip.device)

    monkeypatch.setattr(rasterizer, "_back_end", lambda clip: cuda)
    monkeypatch.setattr(cuda, "rasterize", no_ids)
    # Tensors on the device "meta" have no numbers: reading one is an error, as it would be a wait on a GPU.
    clip, corners = torch.empty(2, len(model.mouth_vertices), 4, device="meta"), model.mouth_corners.to("meta")
    assert patch_mask(clip, corners, SIZE, samples=3, window_side=SIZE // 2).shape == (2, 1, SIZE, SIZE)
    with pytest.raises(RuntimeError, match="meta"):
        patch_mask(clip, corners, SIZE, samples=3)


def test_the_mouth_is_a_mesh_of_its_own_vertices(model: FaceModel) -> None:
    assert torch.equal(model.mouth_vertices[model.mouth_corners.long()], model.mouth_triangles.long())
    assert len(model.mouth_corners.unique()) == len(model.mouth_vertices)


def test_more_mouth_samples_give_a_better_gradient(model: FaceModel) -> None:
    weights = torch.sin(torch.arange(SIZE) / 5)[:, None] + torch.cos(torch.arange(SIZE) / 4)

    def value(expression: Tensor, samples: int) -> Tensor:
        mouth = render(model, _faces_in_places(model, expression), SIZE, mouth_samples=samples).mouth
        return (mouth * weights).sum()

    expected = (value(_open(0.33), 24) - value(_open(0.27), 24)) / 0.06
    errors = []
    for samples in (1, 6):
        expression = _open(0.3).requires_grad_()
        (slope,) = torch.autograd.grad(value(expression, samples), expression)
        errors.append(abs(float(slope[0, 0] - expected)))
    print(errors, expected)
    assert errors[1] < 0.3 * errors[0] and errors[1] < 0.1 * abs(float(expected))


def test_patches_in_odd_places_are_drawn_where_they_are() -> None:
    corners = torch.tensor([[0, 1, 2], [1, 3, 2]])

    def square(left: float, top: float, side: float) -> torch.Tensor:
        x, y = torch.tensor([left, left + side, left, left + side]), torch.tensor([top, top, top + side, top + side])
        return torch.stack([2 * x / 20 - 1, 2 * y / 20 - 1, torch.zeros(4), torch.ones(4)], dim=-1)

    clip = torch.stack(
        [square(*where) for where in ((-3, -2, 6), (17, 18, 5), (40, 3, 4), (4.5, 6.25, 0.5), (-5, -5, 30))]
    )
    clip[2, 0, 3] = torch.nan  # and a picture without a usable patch
    for window_side, of_large in ((None, 400), (10, 100)):  # a patch larger than the window is cut
        mask = patch_mask(clip, corners, 20, samples=4, window_side=window_side)
        areas = [3 * 4, 3 * 2, 0, 0.25, of_large]
        torch.testing.assert_close(mask.sum(dim=(1, 2, 3)), torch.tensor(areas), rtol=0, atol=1e-4)
        assert mask[0, 0, :4, :3].all() and mask[1, 0, 18:, 17:].all() and mask[3, 0, 6, 4] == 0.25
        assert mask[4, 0, 5:15, 5:15].all()
    assert (patch_mask(clip[:0], corners, 20, samples=2)).shape == (0, 1, 20, 20)
    with pytest.raises(ValueError, match="at least one sample per pixel and direction, got 0"):
        patch_mask(clip, corners, 20, samples=0)


def test_the_other_edge_method_blends_the_mouth_and_also_has_a_gradient(model: FaceModel) -> None:
    expression = _open(1.0).requires_grad_()
    mouths = {
        method: render_face(model, _coefficients(model, expression=expression), CAMERA, SIZE, edge_method=method).mouth
        for method in get_args(EdgeMethod)
    }
    assert set(mouths["micro_edges"].unique().tolist()) == {0.0, 1.0}
    blended = mouths["pixel_pair"]
    assert ((blended > 0) & (blended < 1)).any()
    assert blended.sum().item() == pytest.approx(mouths["micro_edges"].sum().item(), rel=0.1)
    (slope,) = torch.autograd.grad(blended.sum(), expression)
    assert slope[0, 0] > 1
