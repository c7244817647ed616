import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.light import diffuse_shading, specular_shading_of_lights
from models.shading import _LitColours, lit_colours

CAMERA_POSITION = (0.0, 0.0, 1000.0)


def _scene(vertices: int, lights: int, shininess: int, dtype: torch.dtype) -> list[Tensor]:
    """Two faces of random albedos (some negative), normals to all sides, points, harmonics, lights and shininess."""
    generator = torch.Generator().manual_seed(11)

    def random(*shape: int) -> Tensor:
        return torch.randn(2, *shape, generator=generator, dtype=torch.float64)

    sh_coefficients = 0.5 * random(9, 3)
    sh_coefficients[:, 0] += 1.0
    position = torch.tensor([0.0, 250.0, 700.0], dtype=torch.float64) + 200 * random(lights, 3)
    scene = [
        0.4 + 0.3 * random(2, vertices, 3),
        normalize(random(vertices, 3), dim=-1),
        60 * random(vertices, 3),
        sh_coefficients,
        position,
        random(lights).sigmoid(),
        10 * random(shininess).exp(),
    ]
    return [value.to(dtype) for value in scene]


def _shade(*scene: Tensor) -> Tensor:
    return lit_colours(*scene[:-1], CAMERA_POSITION, scene[-1])


def _shade_plainly(*scene: Tensor) -> Tensor:
    albedos, normals, points, sh_coefficients, position, strength, shininess = scene
    lights = (position, strength, CAMERA_POSITION, shininess)
    highlight = specular_shading_of_lights(albedos[:, 1], normals, points, *lights)
    return torch.cat([diffuse_shading(albedos[:, 0], normals, sh_coefficients), highlight], dim=-1)


@pytest.mark.parametrize(("lights", "shininess"), [(1, 1), (3, 1), (2, 400)])
def test_compiled_light_is_the_plain_one(lights: int, shininess: int) -> None:
    scene = _scene(400, lights, shininess, torch.float64)
    expected = _shade_plainly(*scene)
    for part in expected.split(3, dim=-1):
        assert 0.1 < (part == 0).double().mean() < 0.9  # dark and lit ones
    torch.testing.assert_close(_shade(*scene), expected)


@pytest.mark.parametrize(("lights", "shininess"), [(1, 1), (3, 1), (2, 400)])
def test_compiled_light_has_the_plain_ones_gradient(lights: int, shininess: int) -> None:
    scene = [value.requires_grad_() for value in _scene(400, lights, shininess, torch.float64)]
    direction = torch.randn(2, 400, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction[:, ::3] = 0  # seen by no pixel
    direction[:, 1::5, 3:] = 0
    found, expected = (
        torch.autograd.grad((shade(*scene) * direction).sum(), scene) for shade in (_shade, _shade_plainly)
    )
    for ours, plain in zip(found, expected, strict=True):
        assert plain.any()
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("shininess", [1, 4])
def test_light_has_a_gradient(shininess: int) -> None:
    scene = [value.requires_grad_() for value in _scene(4, 2, shininess, torch.float64)]
    assert torch.autograd.gradcheck(_shade, scene)


def test_single_precision_is_as_exact_as_the_plain_operations() -> None:
    scene = [value.requires_grad_() for value in _scene(2000, 1, 1, torch.float32)]
    exact = [value.double().detach().requires_grad_() for value in scene]
    lit = _shade(*scene)
    assert lit.dtype == torch.float32
    torch.testing.assert_close(lit, _shade_plainly(*exact).float(), rtol=1e-4, atol=1e-6)
    found, expected = (
        torch.autograd.grad(shade(*values).sum(), values)
        for shade, values in ((_shade, scene), (_shade_plainly, exact))
    )
    for ours, plain in zip(found, expected, strict=True):
        assert (ours - plain).norm() < 1e-5 * plain.norm()


def test_a_light_in_a_vertex_and_lost_normals_give_no_nan() -> None:
    scene = [value.requires_grad_() for value in _scene(3, 1, 1, torch.float64)]
    with torch.no_grad():
        scene[2][:, 0] = scene[4][:, 0]
        scene[1][:, 1] = 0
        scene[2][:, 2] = torch.tensor(CAMERA_POSITION)
    lit = _shade(*scene)
    torch.testing.assert_close(lit, _shade_plainly(*scene))
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(lit.sum(), scene))


def test_a_colour_that_is_no_number_stays_one() -> None:
    scene = _scene(3, 1, 1, torch.float64)
    scene[3][0, 4, 1] = torch.nan
    lit = _shade(*scene)
    assert lit[0, :, 1].isnan().all() and lit[1].isfinite().all()


@pytest.mark.parametrize("broken", range(7))
def test_what_does_not_belong_together_is_refused(broken: int) -> None:
    scene = _scene(6, 2, 6, torch.float32)
    scene[broken] = scene[broken][:, :-1]  # one vertex, harmonic or light too few
    with pytest.raises(ValueError, match=r": expected the shape \(2, "):
        _LitColours.apply(torch.tensor(CAMERA_POSITION), *scene)


def test_other_devices_take_the_plain_operations() -> None:
    scene = [value.to("meta") for value in _scene(5, 2, 1, torch.float32)]
    assert _shade(*scene).shape == (2, 5, 6)
