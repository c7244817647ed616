"""Pixel-pair antialiasing is right where it should be and blind where it must be."""

import inspect
import math

import pytest
import torch
from torch import Tensor

from models.rasterizer import EdgeMethod, coverage, edge_gradient, pixel_pair, rasterize

SIZE = 64
METHODS: tuple[EdgeMethod, ...] = ("pixel_pair", "micro_edges")


def clip_from_pixel(points: Tensor, size: int = SIZE) -> Tensor:
    """Clip coordinates (1, V, 4), w = 1, of points (V, 2 or 3) in pixels, and z."""
    depth = points[:, 2:] if points.shape[1] > 2 else torch.zeros(len(points), 1)
    return torch.cat([2 * points[:, :2] / size - 1, depth, torch.ones(len(points), 1)], dim=1)[None]


def area_gradient(operator: EdgeMethod, points: Tensor, triangles: Tensor) -> Tensor:
    """What an operator says that the covered area, in pixels, changes with the points (V, 2)."""
    points = points.clone().requires_grad_()
    clip = clip_from_pixel(points)
    ids = rasterize(clip.detach(), triangles, (SIZE, SIZE))
    mask = coverage(ids)
    edge_gradient(mask, clip, triangles, ids, occlusion=False, method=operator).sum().backward()
    assert points.grad is not None
    return points.grad


def exact_area_gradient(points: Tensor, triangles: Tensor) -> Tensor:
    """The same from the formula for the area of triangles that do not overlap."""
    points = points.clone().requires_grad_()
    a, b, c = points[triangles.long()].unbind(dim=1)
    first, second = b - a, c - a
    (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).abs().sum().div(2).backward()
    assert points.grad is not None
    return points.grad


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def disc(rim: int, width_px: float, radius_px: float = 22.3) -> tuple[Tensor, Tensor]:
    """A disc of large triangles with a rim of `rim` small ones of some width: points (V, 2) and triangles."""
    angles = torch.arange(rim) * 2 * math.pi / rim + 0.1
    ring = torch.stack([torch.cos(angles), torch.sin(angles)], dim=1)
    centre = torch.tensor([31.7, 32.4])
    points = torch.cat([centre[None], centre + (radius_px - width_px) * ring, centre + radius_px * ring])
    inner = 1 + torch.arange(rim)
    after = inner.roll(-1)
    fan = torch.stack([torch.zeros_like(inner), inner, after], dim=1)
    strips = [
        torch.stack(corners, dim=1) for corners in ((inner, inner + rim, after), (after, inner + rim, after + rim))
    ]
    return points, torch.cat([fan, *strips]).int()


# --- pixel-pair antialiasing


@pytest.mark.parametrize("operator", METHODS)
def test_area_of_a_large_triangle_changes_as_geometry_says(operator: EdgeMethod) -> None:
    points = torch.tensor([[5.3, 7.1], [58.6, 20.4], [22.9, 55.2]])
    triangles = torch.tensor([[0, 1, 2]])
    found, exact = area_gradient(operator, points, triangles), exact_area_gradient(points, triangles)
    # Near a corner, one or two pixels of about fifty along an edge go to the wrong edge or to none.
    assert relative_error(found, exact) < 0.05


@pytest.mark.parametrize("place", [9.6, 9.9, 10.1, 10.4])
def test_upright_edge_blends_by_how_far_it_reaches(place: float) -> None:
    # The edge x = place, face on the left; the common side of pixels 9 and 10 is at x = 10.
    points = torch.tensor([[-70.0, -300], [place, -300], [place, 300], [-70, 300]], requires_grad=True)
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    clip = clip_from_pixel(points)
    ids = rasterize(clip.detach(), triangles, (SIZE, SIZE))
    picture = pixel_pair.antialias(coverage(ids), clip, triangles, ids)
    row = picture[0, 30, :, 0]
    expected = (place - torch.arange(SIZE)).clamp(0, 1)  # of each pixel the covered part
    assert torch.allclose(row, expected, atol=1e-4)
    row.sum().backward()
    assert points.grad is not None and points.grad[1:3, 0].sum() == pytest.approx(1, abs=1e-4)


def test_nearer_surface_blends_over_the_farther() -> None:
    wall = torch.tensor([[-99.0, -99, 0.5], [399, -99, 0.5], [-99, 399, 0.5]])
    card = torch.tensor([[20.3, -99, 0.1], [20.3, 199, 0.1], [-99, 50, 0.1]])  # its border at x = 20.3
    triangles = torch.tensor([[0, 1, 2], [3, 4, 5]])
    clip = clip_from_pixel(torch.cat([wall, card]))
    ids = rasterize(clip, triangles, (SIZE, SIZE))
    picture = torch.where(ids == 1, 0.8, 0.3)[..., None]
    blended = pixel_pair.antialias(picture, clip, triangles, ids)[0, 30, :, 0]
    assert blended[20] == pytest.approx(0.3 + 0.3 * 0.5, abs=1e-4)
    assert torch.equal(blended[:20], picture[0, 30, :20, 0]) and torch.equal(blended[21:], picture[0, 30, 21:, 0])


def test_edges_inside_a_surface_are_left_alone() -> None:
    points = torch.tensor([[-99.0, -99], [199, -99], [199, 199], [-99, 199]])
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    clip = clip_from_pixel(points)
    ids = rasterize(clip, triangles, (SIZE, SIZE))
    image = torch.rand(1, SIZE, SIZE, 3)
    assert len(ids.unique()) == 2
    assert torch.equal(pixel_pair.antialias(image, clip, triangles, ids), image)


def test_surfaces_that_cut_through_each_other_are_left_alone() -> None:
    # Depths x / 64 and 1 - x / 64, both beyond the picture on all sides: their own edges lie far from where they meet.
    corners = torch.tensor([[-90.0, -90], [250, -90], [-90, 250]])
    rising = torch.cat([corners, corners[:, :1] / SIZE], dim=1)
    falling = torch.cat([corners, 1 - corners[:, :1] / SIZE], dim=1)
    triangles = torch.tensor([[0, 1, 2], [3, 4, 5]])
    clip = clip_from_pixel(torch.cat([rising, falling]))
    ids = rasterize(clip, triangles, (SIZE, SIZE))
    assert (ids[0, 30, :31] == 0).all() and (ids[0, 30, 33:] == 1).all()
    image = torch.rand(1, SIZE, SIZE, 3)
    assert torch.equal(pixel_pair.antialias(image, clip, triangles, ids), image)


def test_folded_edges_are_silhouettes() -> None:
    # Two triangles at the edge from (0, 0) to (0, 9): first side by side, then folded onto one another.
    screen = torch.tensor([[[0.0, 0], [0, 9], [9, 4], [-9, 4]], [[0, 0], [0, 9], [9, 4], [8, 4]]])
    found = pixel_pair.silhouettes(screen, torch.tensor([[0, 1, 2], [1, 0, 3]]))
    assert found[0].tolist() == [[True, True, False]] * 2 and found[1].all()


def test_the_switch_chooses_the_operator() -> None:
    points, triangles = disc(rim=16, width_px=8.0)
    clip = clip_from_pixel(points)
    ids = rasterize(clip, triangles, (SIZE, SIZE))
    mask = coverage(ids)
    blended = edge_gradient(mask, clip, triangles, ids, method="pixel_pair")
    assert torch.equal(blended, pixel_pair.antialias(mask, clip, triangles, ids)) and not torch.equal(blended, mask)
    assert torch.equal(edge_gradient(mask, clip, triangles, ids), mask)
    with pytest.raises(ValueError, match=r"unknown edge method 'sobel': one of micro_edges, pixel_pair is needed"):
        inspect.unwrap(edge_gradient)(mask, clip, triangles, ids, method="sobel")  # past the tests' own type checker


def test_pixel_pair_passes_gradcheck() -> None:
    points, triangles = disc(rim=5, width_px=1.7, radius_px=2.9)
    clip = clip_from_pixel(points - torch.tensor([28.0, 28.0]), 8).double().requires_grad_()
    ids = rasterize(clip.detach().float(), triangles, (8, 8))
    image = torch.rand(1, 8, 8, 1, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    assert len(pixel_pair.crossings(clip, triangles, ids).front) > 10

    def blend(image: Tensor, clip: Tensor) -> Tensor:
        return pixel_pair.antialias(image, clip, triangles, ids)

    assert torch.autograd.gradcheck(blend, (image, clip), fast_mode=True)


# --- triangles smaller than a pixel


def test_slivers_at_the_rim_hide_the_outline_from_pixel_pairs_but_not_from_micro_edges() -> None:
    for rim, width, least, most in ((16, 8.0, 0.9, 1.0), (400, 0.15, 0.0, 0.2)):
        points, triangles = disc(rim, width)
        motion = points - points[0]  # the whole disc grows
        exact = (exact_area_gradient(points, triangles) * motion).sum()
        shares = [(area_gradient(name, points, triangles) * motion).sum() / exact for name in METHODS]
        assert least <= shares[0] <= most
        # Ours moves the pixel centre beside the outline, about half of a pixel of 22 nearer to the middle.
        assert shares[1] == pytest.approx(1 - 0.5 / 22, abs=0.02)


def test_sliver_that_covers_no_centre_is_seen_by_neither_alone() -> None:
    # Without a pixel there is nothing to hold on to; ours needs the surface beside the sliver.
    points, triangles = torch.tensor([[10.6, 5.0], [10.8, 5.0], [10.7, 60.0]]), torch.tensor([[0, 1, 2]])
    for operator in METHODS:
        assert not area_gradient(operator, points, triangles).any()
