import math

import numpy as np
import pytest
import torch
from torch import Tensor

from models.camera import rotation_from_euler
from models.light import (
    diffuse_shading,
    linear_from_srgb,
    rotated_sh,
    sh_basis,
    specular_shading,
    specular_shading_of_lights,
    srgb_from_linear,
)

CAMERA_POSITION = (0.0, 0.0, 1000.0)
TOWARDS_CAMERA = (0.0, 0.0, 1.0)


def _specular(normal: tuple[float, ...], light: tuple[float, ...], shininess: float) -> float:
    """Highlight of one white vertex at the origin."""
    given = [torch.tensor([[values]], dtype=torch.float64) for values in ((1.0, 1.0, 1.0), normal, (0.0, 0.0, 0.0))]
    light_position, power = (torch.tensor([v], dtype=torch.float64) for v in (light, (shininess,)))
    return specular_shading(*given, light_position, CAMERA_POSITION, power)[0, 0, 0].item()


def _directions(count: int) -> tuple[Tensor, Tensor]:
    """Directions over the whole sphere, and the area that each stands for: Gauss in z, equal steps around."""
    z, weight = np.polynomial.legendre.leggauss(count)
    angle = 2 * np.pi * np.arange(2 * count) / (2 * count)
    z, angle = np.meshgrid(z, angle, indexing="ij")
    radius = np.sqrt(1 - z**2)
    area = np.repeat(weight * np.pi / count, 2 * count)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1).reshape(-1, 3)
    return torch.from_numpy(points), torch.from_numpy(area)


def test_harmonics_are_orthonormal_on_the_sphere() -> None:
    directions, area = _directions(8)  # exact for polynomials up to degree 15; products of ours have degree 4
    values = sh_basis(directions)
    gram = (values * area[:, None]).T @ values
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64))


def test_linear_harmonics_come_as_y_z_x() -> None:
    values = sh_basis(torch.eye(3))
    slope = math.sqrt(3 / (4 * math.pi))
    expected = torch.tensor([[0.0, 0, slope], [slope, 0, 0], [0, slope, 0]])  # rows: directions x, y, z
    torch.testing.assert_close(values[:, 1:4], expected)


def test_eq04_sums_albedo_times_coefficients_times_harmonics() -> None:
    generator = torch.Generator().manual_seed(0)
    albedo = torch.rand(2, 4, 3, generator=generator)
    normals = torch.nn.functional.normalize(torch.randn(2, 4, 3, generator=generator), dim=-1)
    coefficients = 0.1 * torch.randn(2, 9, 3, generator=generator)
    coefficients[:, 0] += 2
    shaded = diffuse_shading(albedo, normals, coefficients)
    for face in range(2):
        for vertex in range(4):
            for colour in range(3):
                harmonics = sh_basis(normals[face, vertex])
                light = sum(coefficients[face, b, colour].item() * harmonics[b].item() for b in range(9))
                expected = albedo[face, vertex, colour].item() * light
                assert shaded[face, vertex, colour].item() == pytest.approx(expected, rel=1e-5)


def test_light_from_above_at_45_degrees_gives_one_over_root_two() -> None:
    coefficients = torch.zeros(1, 9, 3)
    coefficients[:, 1] = math.sqrt(4 * math.pi / 3)  # irradiance y, as of a light straight above
    slanted, towards, away = (0.0, 0.5**0.5, 0.5**0.5), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)
    shaded = diffuse_shading(torch.ones(1, 3, 3), torch.tensor([[slanted, towards, away]]), coefficients)
    torch.testing.assert_close(shaded[0, :, 0], torch.tensor([0.5**0.5, 1.0, 0.0]))


def test_negative_albedo_is_black() -> None:
    coefficients = torch.ones(1, 9, 3)
    shaded = diffuse_shading(-torch.ones(1, 1, 3), torch.tensor([[TOWARDS_CAMERA]]), coefficients)
    assert (shaded == 0).all()


def test_highlight_is_full_where_the_normal_halves_light_and_camera() -> None:
    light = (1000.0, 0.0, 0.0)  # at 90 degrees to the camera
    half_way = (0.5**0.5, 0.0, 0.5**0.5)
    assert _specular(half_way, light, 20.0) == pytest.approx(1)


def test_eq05_is_the_cosine_to_the_half_way_vector_to_the_power_of_the_shininess() -> None:
    # Light and camera both straight ahead, normal at 60 degrees: cosine 1/2.
    assert _specular((math.sin(math.pi / 3), 0.0, 0.5), (0.0, 0.0, 500.0), 3.0) == pytest.approx(1 / 8)
    # Light at 90 degrees, normal to the camera: the half-way vector is at 45 degrees.
    assert _specular(TOWARDS_CAMERA, (500.0, 0.0, 1e-3), 4.0) == pytest.approx(1 / 4, rel=1e-4)


def test_specular_albedo_scales_the_highlight() -> None:
    albedo = torch.tensor([[[0.1, 0.2, -0.3]]])
    zero = torch.zeros(1, 1, 3)
    light = torch.tensor([[0.0, 0.0, 500.0]])
    shaded = specular_shading(
        albedo, zero + torch.tensor(TOWARDS_CAMERA), zero, light, CAMERA_POSITION, light[:, :1] + 5
    )
    torch.testing.assert_close(shaded, torch.tensor([[[0.1, 0.2, 0.0]]]))


def test_back_lit_vertices_get_no_highlight() -> None:
    # The half-way vector is only 50 degrees from the normal, but the light is behind the surface.
    behind = (math.sin(math.radians(100)) * 500, 0.0, math.cos(math.radians(100)) * 500)
    assert _specular(TOWARDS_CAMERA, behind, 1.0) == 0


def test_vertices_turned_away_get_no_highlight_and_no_nan() -> None:
    for shininess in (0.5, 2.0, 20.0):  # as printed, a negative cosine to the power 0.5 is NaN, to the power 2 bright
        assert _specular((0.0, 0.0, -1.0), (0.0, 0.0, 500.0), shininess) == 0


def _surface(count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random albedo, normals towards the camera and points of one face, float64."""
    generator = torch.Generator().manual_seed(7)
    albedo = torch.rand(1, count, 3, generator=generator, dtype=torch.float64)
    normals = torch.randn(1, count, 3, generator=generator, dtype=torch.float64) + torch.tensor([0.0, 0.0, 2.0])
    points = 50 * torch.randn(1, count, 3, generator=generator, dtype=torch.float64)
    return albedo, torch.nn.functional.normalize(normals, dim=-1), points


def test_lights_add_up_by_their_strengths() -> None:
    surface = _surface(30)
    positions = torch.tensor([[[0.0, 300.0, 700.0], [-500.0, 0.0, 400.0]]], dtype=torch.float64)
    strengths, power = torch.tensor([[1.0, 0.3]], dtype=torch.float64), torch.tensor([[9.0]], dtype=torch.float64)
    both = specular_shading_of_lights(*surface, positions, strengths, CAMERA_POSITION, power)
    first, second = (specular_shading(*surface, positions[:, k], CAMERA_POSITION, power) for k in range(2))
    assert second.max() > 0.01
    torch.testing.assert_close(both, first + 0.3 * second)
    alone = specular_shading_of_lights(*surface, positions[:, :1], strengths[:, :1], CAMERA_POSITION, power)
    assert torch.equal(alone, first)  # the paper's light, to the last bit


def test_every_vertex_can_have_its_own_shininess() -> None:
    albedo, normals, points = _surface(5)
    light = torch.tensor([[100.0, 300.0, 700.0]], dtype=torch.float64)
    powers = torch.tensor([[2.0, 4.0, 8.0, 16.0, 32.0]], dtype=torch.float64)
    together = specular_shading(albedo, normals, points, light, CAMERA_POSITION, powers)
    for vertex in range(5):
        own = specular_shading(albedo, normals, points, light, CAMERA_POSITION, powers[:, vertex : vertex + 1])
        torch.testing.assert_close(together[:, vertex], own[:, vertex])


def test_strengths_and_regional_shininess_have_a_gradient() -> None:
    surface = _surface(4)
    given = [torch.tensor([[[0.0, 300.0, 700.0], [-500.0, 0.0, 400.0]]]), torch.tensor([[1.0, 0.3]])]
    given.append(torch.tensor([[2.0, 5.0, 9.0, 20.0]]))
    position, strength, powers = (value.double().requires_grad_() for value in given)

    def shade(position: Tensor, strength: Tensor, powers: Tensor) -> Tensor:
        return specular_shading_of_lights(*surface, position, strength, CAMERA_POSITION, powers)

    assert torch.autograd.gradcheck(shade, [position, strength, powers])


def test_a_surface_in_even_light_sends_back_its_albedo() -> None:
    """The furnace: light of radiance 1 from everywhere shows the albedo, whatever the normal; energy is conserved."""
    albedo, normals, _ = _surface(50)
    even = torch.zeros(1, 9, 3, dtype=torch.float64)
    even[:, 0] = 2 * math.sqrt(math.pi)  # one over the constant harmonic
    torch.testing.assert_close(diffuse_shading(albedo, normals, even), albedo)


def test_a_highlight_is_never_brighter_than_light_and_albedo() -> None:
    albedo, normals, points = _surface(500)
    light = torch.tensor([[0.0, 300.0, 700.0]], dtype=torch.float64)
    bright = specular_shading(albedo, normals, points, light, CAMERA_POSITION, torch.full((1, 1), 0.1).double())
    assert (bright <= albedo).all() and (bright / albedo).max() > 0.9


def test_a_shinier_surface_spreads_its_highlight_less() -> None:
    albedo, normals, points = _surface(500)
    light = torch.tensor([[0.0, 0.0, 700.0]], dtype=torch.float64)
    sums = [
        specular_shading(albedo, normals, points, light, CAMERA_POSITION, torch.full((1, 1), power).double()).sum()
        for power in (1.0, 4.0, 16.0, 64.0)
    ]
    assert sums == sorted(sums, reverse=True) and sums[-1] > 0


def test_colours_are_mixed_in_linear_light() -> None:
    """Half of the light is not half of the picture's value: 0.5 linear is 0.73 on the screen."""
    half = srgb_from_linear(torch.tensor(0.25) + torch.tensor(0.25))
    assert half.item() == pytest.approx(0.5 ** (1 / 2.2))
    assert half.item() != pytest.approx(2 * srgb_from_linear(torch.tensor(0.25)).item(), rel=0.2)


def _lights() -> list[tuple[str, tuple[float, ...], tuple[float, ...]]]:
    return [
        ("lit", (0.6, 0.0, 0.8), (200.0, 100.0, 500.0)),
        ("normal away", (0.0, 0.0, -1.0), (0.0, 0.0, 500.0)),
        ("cosine zero", (1.0, 0.0, 0.0), (0.0, 0.0, 500.0)),
        ("no half-way vector", (0.0, 0.0, 1.0), (0.0, 0.0, -500.0)),
    ]


@pytest.mark.parametrize(
    ("name", "normal", "light"), _lights(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_highlight_has_a_gradient(name: str, normal: tuple[float, ...], light: tuple[float, ...]) -> None:
    values = ((0.1, 0.2, 0.3), normal, (1.0e-3, 2.0e-3, 0.0) if name == "lit" else (0.0, 0.0, 0.0))
    given = [torch.tensor([[row]], dtype=torch.float64, requires_grad=True) for row in values]
    given += [torch.tensor([row], dtype=torch.float64, requires_grad=True) for row in (light, (8.0,))]

    def shade(albedo: Tensor, normals: Tensor, points: Tensor, position: Tensor, shininess: Tensor) -> Tensor:
        return specular_shading(albedo, normals, points, position, CAMERA_POSITION, shininess)

    assert torch.autograd.gradcheck(shade, given)


@pytest.mark.parametrize("albedo", [0.4, -0.4])
def test_diffuse_light_has_a_gradient(albedo: float) -> None:
    generator = torch.Generator().manual_seed(3)
    normals = torch.nn.functional.normalize(torch.randn(1, 4, 3, generator=generator, dtype=torch.float64), dim=-1)
    coefficients = torch.randn(1, 9, 3, generator=generator, dtype=torch.float64)
    given = [torch.full((1, 4, 3), albedo, dtype=torch.float64), normals, coefficients]
    assert torch.autograd.gradcheck(diffuse_shading, [value.requires_grad_() for value in given])


def test_srgb_and_back_is_the_same_light() -> None:
    linear = torch.linspace(1e-5, 1, 100, dtype=torch.float64)
    torch.testing.assert_close(linear_from_srgb(srgb_from_linear(linear)), linear)


def test_srgb_is_the_power_of_equation_two_and_clamps() -> None:
    linear = torch.tensor([-1.0, 0.0, 0.5, 1.0, 7.0])
    torch.testing.assert_close(srgb_from_linear(linear), torch.tensor([0.0, 0.0, 0.5 ** (1 / 2.2), 1.0, 1.0]))


def test_srgb_has_a_finite_slope_at_black_and_no_jump_at_the_knee() -> None:
    linear = torch.tensor([0.0, 1e-12, 1e-6], requires_grad=True)
    srgb_from_linear(linear).sum().backward()
    assert linear.grad is not None
    assert 0 < linear.grad[2] <= linear.grad.max() < 1000  # the power alone has a slope of 1e6 at 1e-12
    knee = (1 / 255) ** 2.2
    below, above = srgb_from_linear(torch.tensor([knee * (1 - 1e-4), knee * (1 + 1e-4)], dtype=torch.float64))
    assert above - below == pytest.approx(0, abs=1e-6)


def test_srgb_has_a_gradient() -> None:
    linear = torch.tensor([-0.5, 1e-7, 0.2, 0.9, 1.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(srgb_from_linear, [linear], eps=1e-9, atol=1e-4)


def test_rotated_light_lights_a_rotated_surface_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    light = torch.randn(4, 9, 3, generator=generator, dtype=torch.float64)
    normals = torch.nn.functional.normalize(torch.randn(4, 50, 3, generator=generator, dtype=torch.float64), dim=-1)
    rotation = rotation_from_euler(torch.randn(4, 3, generator=generator, dtype=torch.float64))
    turned = sh_basis(normals @ rotation.transpose(1, 2)) @ rotated_sh(light, rotation)
    torch.testing.assert_close(turned, sh_basis(normals) @ light)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 7, 5)])
def test_srgb_has_the_slope_of_the_power_between_black_and_white(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(2)
    linear = (1.4 * torch.rand(shape, generator=generator, dtype=torch.float64) - 0.2).requires_grad_()
    direction = torch.rand(shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(srgb_from_linear(linear), linear, direction)
    value = linear.detach()
    power = value.clamp(min=1e-9) ** (1 / 2.2 - 1) / 2.2
    dark = 0.0031308 ** (1 / 2.2 - 1)
    expected = torch.where(value > 0.0031308, power, dark) * direction * ((value >= 0) & (value <= 1))
    torch.testing.assert_close(gradient, expected)
