"""The rasterizer against pixels counted by hand, the readable float64 reference, and finite differences."""

import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from models import rasterizer
from models.rasterizer import cpu, cuda, edges, reference

NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
EVERY_KERNEL = pytest.mark.usefixtures("kernels")


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads, and puts it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def clip_from_pixel(points: list[tuple[float, float, float]], size: tuple[int, int]) -> Tensor:
    """One picture's clip coordinates (1, V, 4), w = 1, of points (x px, y px, z)."""
    height, width = size
    return torch.tensor([[(2 * x / width - 1, 2 * y / height - 1, z, 1.0) for x, y, z in points]])


def sphere(rings: int = 12, sectors: int = 20) -> tuple[Tensor, Tensor]:
    """Vertices (V, 3) and triangles of an uneven unit sphere, turned so that no edge lies on a symmetry plane."""
    polar = torch.linspace(0, math.pi, rings + 1)[1:-1]
    around = torch.arange(sectors) * 2 * math.pi / sectors
    ring = torch.stack(
        [
            torch.sin(polar)[:, None] * torch.cos(around),
            torch.cos(polar)[:, None].expand(-1, sectors),
            torch.sin(polar)[:, None] * torch.sin(around),
        ],
        dim=-1,
    ).flatten(0, 1)
    vertices = torch.cat([ring, torch.tensor([[0.0, 1, 0], [0.0, -1, 0]])]) @ rotation(0.3, 0.2, 0.1).T
    triangles = []
    for k in range(sectors):
        after = (k + 1) % sectors
        for r in range(rings - 2):
            corner = [r * sectors + k, r * sectors + after, (r + 1) * sectors + k, (r + 1) * sectors + after]
            triangles += [[corner[0], corner[1], corner[2]], [corner[1], corner[3], corner[2]]]
        last = (rings - 2) * sectors
        triangles += [[len(ring), after, k], [len(ring) + 1, last + k, last + after]]
    return vertices * (1 + 0.05 * torch.sin(4 * vertices[:, :1])), torch.tensor(triangles)


def rotation(*angles: float) -> Tensor:
    """Some rotation."""
    x, y, z = angles
    generator = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return torch.linalg.matrix_exp(generator)


def seen_from(vertices: Tensor, distance: float = 4.0, zoom: float = 3.0) -> Tensor:
    """Clip coordinates of (B, V, 3) points, camera at z = distance, y down."""
    x, y, z = vertices.unbind(-1)
    depth = distance - z
    near, far = 0.5 * distance, 1.5 * distance
    return torch.stack([zoom * x, -zoom * y, (depth * (far + near) - 2 * far * near) / (far - near), depth], dim=-1)


def sphere_before_wall(count: int = 2) -> tuple[Tensor, Tensor, int]:
    """Clip coordinates and triangles of spheres before a wall that fills the picture; and the sphere's vertex count."""
    vertices, triangles = sphere()
    wall = torch.tensor([[-9.0, -8, -1.9], [9.5, -8, -1.9], [-9, 9.7, -1.9], [9.5, 9.7, -1.9]])
    all_triangles = torch.cat([triangles, torch.tensor([[0, 1, 2], [1, 3, 2]]) + len(vertices)])
    batch = torch.stack([torch.cat([vertices @ rotation(0.1 * k, 0.2, 0.0).T, wall]) for k in range(count)])
    return seen_from(batch), all_triangles, len(vertices)


def relative_error(found: Tensor, expected: Tensor) -> float:
    found, expected = found.detach().double(), expected.detach().double()
    return float((found - expected).norm() / expected.norm())


# --- which triangle a pixel sees


@EVERY_KERNEL
def test_triangle_covers_the_pixels_one_can_count() -> None:
    clip = clip_from_pixel([(0.4, 0.4, 0), (4.4, 0.4, 0), (0.4, 4.4, 0)], (5, 6))
    ids = rasterizer.rasterize(clip, torch.tensor([[0, 1, 2]]), (5, 6))
    covered = [[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0] * 6]
    # The slanted edge x + y = 4.8 passes the centres with x + y <= 4, e.g. (3.5, 0.5).
    assert ids.dtype == torch.int32
    assert ((ids[0] >= 0).int() == torch.tensor(covered)).all()
    assert (rasterizer.coverage(ids)[0, :, :, 0] == torch.tensor(covered)).all()


@EVERY_KERNEL
def test_row_zero_is_the_top_where_clip_y_is_minus_one() -> None:
    clip = clip_from_pixel([(0, 0, 0), (4, 0, 0), (0, 1, 0), (4, 1, 0)], (4, 4))
    ids = rasterizer.rasterize(clip, torch.tensor([[0, 1, 2], [1, 3, 2]]), (4, 4))
    assert (ids[0, 0] >= 0).all() and (ids[0, 1:] < 0).all()


@EVERY_KERNEL
@pytest.mark.parametrize("winding", [[[0, 1, 2], [1, 3, 2]], [[0, 2, 1], [2, 3, 1]], [[0, 1, 2], [1, 2, 3]]])
@pytest.mark.parametrize("corner", [0.5, 1.0, 1.3])
def test_centres_on_a_shared_edge_are_seen_exactly_once(winding: list[list[int]], corner: float) -> None:
    # A square whose diagonal and, for corner 0.5, whose sides pass through pixel centres.
    points = [(corner, corner, 0), (corner + 4, corner, 0), (corner, corner + 4, 0), (corner + 4, corner + 4, 0)]
    clip = clip_from_pixel(points, (8, 8))
    alone = [rasterizer.rasterize(clip, torch.tensor([triangle]), (8, 8)) >= 0 for triangle in winding]
    assert not (alone[0] & alone[1]).any()
    assert (alone[0] | alone[1]).sum() == 16
    # Top-left rule: of the four centres at the corners only the upper left belongs to the square.
    both = (alone[0] | alone[1])[0]
    rows, columns = both.nonzero(as_tuple=True)
    first = math.ceil(corner - 0.5)
    assert rows.min() == first and columns.min() == first and rows.max() == first + 3 and columns.max() == first + 3


@EVERY_KERNEL
def test_nearer_triangle_hides_the_farther_in_either_order() -> None:
    clip = clip_from_pixel([(0, 0, 0.5), (9, 0, 0.5), (0, 9, 0.5), (0, 0, 0.1), (9, 0, 0.1), (0, 9, 0.1)], (4, 4))
    for near, triangles in ((1, [[0, 1, 2], [3, 4, 5]]), (0, [[3, 4, 5], [0, 1, 2]])):
        assert (rasterizer.rasterize(clip, torch.tensor(triangles), (4, 4)) == near).all()


@EVERY_KERNEL
@pytest.mark.parametrize("small_first", [True, False])
def test_of_equally_deep_triangles_the_first_is_seen_whatever_their_sizes(small_first: bool) -> None:
    # Small triangles are drawn in groups and large ones alone, so the order of drawing is another one.
    small, large = [(3, 3, 0.5), (4.9, 3, 0.5), (3, 4.9, 0.5)], [(0, 0, 0.5), (18, 0, 0.5), (0, 18, 0.5)]
    clip = clip_from_pixel([*small, *large, *small], (8, 8))
    triangles = torch.tensor([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    first = 0 if small_first else 1
    ids = rasterizer.rasterize(clip, triangles[first:], (8, 8)) + first
    assert ids[0, 3, 3] == first and ids[0, 7, 7] == 1 and (ids == 2).sum() == 0


@EVERY_KERNEL
def test_depth_of_a_small_triangle_is_that_of_its_plane() -> None:
    # A few steps of 1/256 px wide, so that the rounding of the top-left rule would show; 0.45 at its centre (0.5, 0.5).
    small = [(130 / 256, 130 / 256, 0.35), (124 / 256, 130 / 256, 0.65), (130 / 256, 124 / 256, 0.35)]
    for depth, nearer in ((0.449, 1), (0.451, 0)):
        clip = clip_from_pixel([*small, (0, 0, depth), (2, 0, depth), (0, 2, depth)], (2, 2))
        assert rasterizer.rasterize(clip, torch.tensor([[0, 1, 2], [3, 4, 5]]), (2, 2))[0, 0, 0] == nearer


@EVERY_KERNEL
@pytest.mark.parametrize("size", [(48, 48), (37, 61), (1, 33), (33, 1)])
def test_ids_agree_with_the_reference(size: tuple[int, int]) -> None:
    clip, triangles, _ = sphere_before_wall()
    ids = rasterizer.rasterize(clip, triangles.int(), size)
    expected = reference.rasterize(clip, triangles, size)
    # Rounding vertices to 1/256 px decides a few centres beside an edge the other way.
    assert (ids != expected).sum() <= max(1, 0.005 * ids.numel())
    only_sphere = triangles[:-2]
    found, exact = (f(clip, only_sphere, size) >= 0 for f in (rasterizer.rasterize, reference.rasterize))
    assert (found != exact).sum() <= max(1, 0.002 * ids.numel())


def test_float64_sees_the_same() -> None:
    clip, triangles, _ = sphere_before_wall()
    ids = rasterizer.rasterize(clip, triangles, (40, 40))
    assert (rasterizer.rasterize(clip.double(), triangles, (40, 40)) == ids).float().mean() >= 0.999


NAN, INFINITE = float("nan"), float("inf")


@EVERY_KERNEL
@pytest.mark.parametrize(
    "vertex",
    [
        pytest.param((0.1, 0.2, 0.0, 0.0), id="w is zero"),
        pytest.param((0.1, 0.2, 0.0, -1.0), id="behind the camera"),
        pytest.param((NAN, 0.2, 0.0, 1.0), id="x is NaN"),
        pytest.param((0.1, 0.2, NAN, 1.0), id="z is NaN"),
        pytest.param((0.1, 0.2, 0.0, NAN), id="w is NaN"),
        pytest.param((INFINITE, 0.2, 0.0, 1.0), id="x is infinite"),
        pytest.param((0.1, -1e30, 0.0, 1.0), id="y is huge"),
        pytest.param((0.1, 0.2, 0.0, 1e-38), id="w is tiny"),
        pytest.param((0.1, 0.2, INFINITE, 1.0), id="z is infinite"),
        pytest.param((-1.0, -1.0, -0.5, 1.0), id="no area"),
        pytest.param((-9.0, -3.0, -0.5, 1.0), id="off the picture"),
    ],
)
def test_unusable_triangles_are_left_out(vertex: tuple[float, float, float, float]) -> None:
    # Vertices 3 to 5 make the unusable triangle, before the usable one.
    points = [(-0.9, -0.9, 0, 1), (0.9, -0.9, 0, 1), (-0.9, 0.9, 0, 1), vertex, (-1, -1, -0.5, 1), (-2, -1, -0.5, 1)]
    clip = torch.tensor([points]).float().requires_grad_()
    triangles = torch.tensor([[3, 4, 5], [0, 1, 2]])
    ids = rasterizer.rasterize(clip, triangles, (9, 9))
    alone = rasterizer.rasterize(clip[:, :3], triangles[1:], (9, 9))
    assert torch.equal(ids, torch.where(alone == 0, 1, -1).int())
    for backward in (cpu.edge_backward, edges.edge_backward):
        to_clip = backward(torch.ones(1, 9, 9, 1), torch.ones(1, 9, 9, 1), clip.detach(), triangles, ids)
        assert to_clip[:, :3].isfinite().all() and (to_clip[:, 3:] == 0).all()
    picture = rasterizer.interpolate(torch.rand(1, 6, 2), clip, triangles, ids)
    picture.square().sum().backward()
    assert picture.isfinite().all()
    assert clip.grad is not None and clip.grad.isfinite().all()


@EVERY_KERNEL
def test_far_corner_inside_the_range_still_draws() -> None:
    clip = clip_from_pixel([(-9e4, -9e4, 0), (9e4, -9e4, 0), (0, 9e4, 0)], (16, 16))
    assert (rasterizer.rasterize(clip, torch.tensor([[0, 1, 2]]), (16, 16)) == 0).all()


@EVERY_KERNEL
@pytest.mark.parametrize("count", [0, 1])
def test_no_triangles_give_background(count: int) -> None:
    clip, none = torch.rand(count, 4, 4), torch.zeros(0, 3, dtype=torch.int64)
    ids = rasterizer.rasterize(clip, none, (3, 5))
    assert ids.shape == (count, 3, 5) and (ids == -1).all()
    assert (rasterizer.interpolate(torch.rand(count, 4, 2), clip, none, ids) == 0).all()


def test_wrong_use_is_refused() -> None:
    clip, triangles = torch.rand(1, 3, 4), torch.tensor([[0, 1, 3]])
    with pytest.raises(ValueError, match="point at vertices 0 to 3, there are 3"):
        rasterizer.rasterize(clip, triangles, (4, 4))
    with pytest.raises(ValueError, match="ids name triangle 1, there are 1"):
        rasterizer.interpolate(clip, clip, torch.tensor([[0, 1, 2]]), torch.ones(1, 4, 4, dtype=torch.int32))
    with pytest.raises(ValueError, match=r"float32 or float64, got torch\.bfloat16"):
        rasterizer.rasterize(clip.bfloat16(), torch.tensor([[0, 1, 2]]), (4, 4))


# --- what it looks like there


@EVERY_KERNEL
def test_interpolation_is_perspective_correct() -> None:
    # An edge from depth 1 to depth 3: the middle of the screen shows a point a quarter along, (1/3) / (1 + 1/3).
    clip = torch.tensor([[[-1.0, -1, 0, 1], [3, -3, 0, 3], [-1, 1, 0, 1], [3, 3, 0, 3]]])
    triangles = torch.tensor([[0, 1, 2], [1, 3, 2]])
    ids = rasterizer.rasterize(clip, triangles, (3, 3))
    picture = rasterizer.interpolate(torch.tensor([[[0.0], [1], [0], [1]]]), clip, triangles, ids)
    assert torch.allclose(picture[0, :, 1, 0], torch.tensor(0.25))


@EVERY_KERNEL
def test_needle_that_only_rounding_covers_does_not_extrapolate() -> None:
    # Thinner than the vertex grid and beside the centre (4.5, 4.5) that its rounded copy covers.
    clip = clip_from_pixel([(0, 4.5005, 0), (9, 4.5005, 0), (0, 4.5021, 0)], (9, 9))
    triangles, ids = torch.tensor([[0, 1, 2]]), torch.full((1, 9, 9), -1, dtype=torch.int32)
    ids[0, 4] = 0
    attributes = torch.tensor([[[0.0], [0.5], [1.0]]])
    picture = rasterizer.interpolate(attributes, clip, triangles, ids)
    assert (picture >= 0).all() and (picture <= 1).all()


@EVERY_KERNEL
def test_triangle_without_area_shows_the_mean_of_its_corners() -> None:
    # Rounding to the vertex grid can give area to a triangle that has none.
    clip = clip_from_pixel([(0, 0, 0), (2, 2, 0), (4, 4, 0)], (4, 4)).requires_grad_()
    triangles, ids = torch.tensor([[0, 1, 2]]), torch.zeros(1, 4, 4, dtype=torch.int32)
    picture = rasterizer.interpolate(torch.tensor([[[0.0], [3.0], [6.0]]]), clip, triangles, ids)
    assert torch.allclose(picture, torch.tensor(3.0))
    rasterizer.edge_gradient(picture, clip, triangles, ids).square().sum().backward()
    assert clip.grad is not None and (clip.grad == 0).all()


@EVERY_KERNEL
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_interpolation_and_its_gradients_agree_with_autograd(channels: int) -> None:
    clip, triangles, _ = sphere_before_wall()
    generator = torch.Generator().manual_seed(1)
    attributes = torch.rand(2, clip.shape[1], channels, generator=generator)
    ids = rasterizer.rasterize(clip, triangles, (41, 29))
    change = torch.randn(2, 41, 29, channels, generator=generator)

    fast = [attributes.clone().requires_grad_(), clip.clone().requires_grad_()]
    exact = [attributes.double().requires_grad_(), clip.double().requires_grad_()]
    picture = rasterizer.interpolate(*fast, triangles, ids)
    expected = reference.interpolate(*exact, triangles, ids)
    # Centres beside an edge weigh a corner a hair below zero in the reference, and exactly zero here.
    assert relative_error(picture, expected) < 1e-4
    picture.backward(change)
    expected.backward(change.double())
    assert relative_error(fast[0].grad, exact[0].grad) < 1e-3
    assert relative_error(fast[1].grad, exact[1].grad) < 1e-2


def test_interpolation_passes_gradcheck() -> None:
    clip, triangles, _ = sphere_before_wall(1)
    ids = rasterizer.rasterize(clip, triangles, (5, 4))
    used = triangles[ids.flatten().unique().clamp_min(0).long()].unique()

    def render(attributes: Tensor, corners: Tensor) -> Tensor:
        moved = clip.double().index_copy(1, used, corners)
        values = torch.zeros(1, clip.shape[1], 2).double().index_copy(1, used, attributes)
        return rasterizer.interpolate(values, moved, triangles, ids)

    attributes = torch.rand(1, len(used), 2, generator=torch.Generator().manual_seed(2)).double()
    inputs = (attributes.requires_grad_(), clip[:, used].double().requires_grad_())
    assert torch.autograd.gradcheck(render, inputs)


@EVERY_KERNEL
def test_gradient_is_computed_for_what_asks_for_it() -> None:
    clip, triangles, _ = sphere_before_wall(1)
    ids = rasterizer.rasterize(clip, triangles, (9, 9))
    change = torch.randn(1, 9, 9, 3, generator=torch.Generator().manual_seed(1))

    def gradients(*asking: bool) -> list[Tensor | None]:
        attributes = torch.sin(torch.arange(clip.shape[1] * 3.0)).view(1, -1, 3).requires_grad_(asking[0])
        points = clip.clone().requires_grad_(asking[1])
        rasterizer.interpolate(attributes, points, triangles, ids).backward(change)
        return [attributes.grad, points.grad]

    both = gradients(True, True)
    assert both[0] is not None and both[0].any() and both[1] is not None and both[1].any()
    for asking in ((True, False), (False, True)):
        for asked, found, expected in zip(asking, gradients(*asking), both, strict=True):
            assert torch.equal(found, expected) if asked else found is None


# --- how outlines move


def smooth_weights(size: int, channels: int) -> Tensor:
    """A smooth function of place, so that where the outline runs matters."""
    y, x = torch.meshgrid(torch.arange(size) / size, torch.arange(size) / size, indexing="ij")
    shifts = torch.arange(channels) * 1.3
    return torch.sin(3 * x[..., None] + shifts) + torch.cos(4 * y[..., None] - shifts)


def supersampled_change(
    picture_of: Callable[[Tensor, int], Tensor], clip: Tensor, direction: Tensor, weights: Tensor
) -> float:
    """Central difference of <weights, box-filtered picture> along a direction."""
    fine, step = 16, 0.5

    def value(moved: Tensor) -> float:
        size = len(weights)
        picture = picture_of(moved, size * fine)[0]
        return float((picture.view(size, fine, size, fine, -1).double().mean(dim=(1, 3)) * weights).sum())

    return (value(clip + step * direction) - value(clip - step * direction)) / (2 * step)


def directions(clip: Tensor, moving: int, size: int) -> list[Tensor]:
    """Motions of about a pixel of the first vertices: right, down, growth, turn, a wave."""
    x, y, w = clip[..., 0] / clip[..., 3], clip[..., 1] / clip[..., 3], clip[..., 3] * 2 / size
    fields = [(w, 0 * w), (0 * w, w), (x * w, y * w), (-y * w, x * w), (torch.sin(3 * y) * w, torch.cos(4 * x) * w)]
    result = []
    for dx, dy in fields:
        motion = torch.zeros_like(clip)
        motion[:, :moving, 0], motion[:, :moving, 1] = dx[:, :moving], dy[:, :moving]
        result.append(motion)
    return result


def test_edge_gradient_of_a_coverage_agrees_with_finite_differences() -> None:
    vertices, triangles = sphere()
    clip, size = seen_from(vertices[None]), 64
    weights = smooth_weights(size, 1)
    moved = clip.clone().requires_grad_()
    ids = rasterizer.rasterize(moved, triangles, (size, size))
    mask = rasterizer.edge_gradient(rasterizer.coverage(ids), moved, triangles, ids, occlusion=False)
    assert torch.equal(mask, rasterizer.coverage(ids))
    (mask[0] * weights).sum().backward()

    def picture_of(clip: Tensor, size: int) -> Tensor:
        return rasterizer.coverage(rasterizer.rasterize(clip, triangles, (size, size)))

    motions = directions(clip, len(vertices), size)
    expected = torch.tensor([supersampled_change(picture_of, clip, motion, weights) for motion in motions])
    found = torch.stack([(moved.grad * motion).sum() for motion in motions])
    assert relative_error(found, expected) < 0.05


@pytest.mark.parametrize("occlusion", [True, False])
def test_edge_gradient_moves_an_outline_inside_the_picture(occlusion: bool) -> None:
    clip, triangles, moving = sphere_before_wall(1)
    size = 64
    weights = smooth_weights(size, 3)
    colours = torch.tensor([0.9, 0.6, 0.4]).expand(1, clip.shape[1], -1).clone()
    colours[:, moving:] = torch.tensor([0.1, 0.3, 0.8])
    moved = clip.clone().requires_grad_()
    ids = rasterizer.rasterize(moved, triangles, (size, size))
    picture = rasterizer.interpolate(colours, moved, triangles, ids)
    picture = rasterizer.edge_gradient(picture, moved, triangles, ids, occlusion=occlusion)
    (picture[0] * weights).sum().backward()

    def picture_of(clip: Tensor, size: int) -> Tensor:
        ids = rasterizer.rasterize(clip, triangles, (size, size))
        return rasterizer.interpolate(colours, clip, triangles, ids)

    motions = directions(clip, moving, size)
    expected = torch.tensor([supersampled_change(picture_of, clip, motion, weights) for motion in motions])
    found = torch.stack([(moved.grad * motion).sum() for motion in motions])
    error = relative_error(found, expected)
    assert error < 0.1 if occlusion else error > 0.9


@pytest.mark.parametrize("occlusion", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_compiled_and_torch_edge_gradients_agree(occlusion: bool, dtype: torch.dtype, tolerance: float) -> None:
    clip, triangles, _ = sphere_before_wall(3)
    generator = torch.Generator().manual_seed(3)
    clip = clip.to(dtype)
    # With and without background; pairs of pixels in one direction only.
    for mesh, size in ((triangles, (45, 62)), (triangles[:-2], (45, 62)), (triangles[:-2], (1, 62))):
        ids = rasterizer.rasterize(clip, mesh, size)
        image, change = torch.rand(2, 3, *size, 3, generator=generator, dtype=dtype).unbind()
        fast = cpu.edge_backward(image, change, clip, mesh, ids, occlusion)
        plain = edges.edge_backward(image, change, clip, mesh, ids, occlusion)
        assert (plain - fast).norm() <= tolerance * plain.norm()
        assert bool(plain.any()) == (occlusion or len(mesh) < len(triangles))


def cards() -> tuple[Tensor, Tensor, Tensor]:
    """Points (x px, y px, z), triangles and linear colours of a card before a wall that it covers in part; 64 pixels.

    The upright borders lean by a few pixels, so that they pass pixel centres at all distances.
    """
    card = [[-9.2, 9.7, 0.1], [30.4, 11.2, 0.1], [33.1, 52.6, 0.1], [-9, 49, 0.1]]
    wall = [[12.3, -9, 0.5], [58.7, 3.1, 0.5], [51.2, 70, 0.5], [12, 70, 0.5]]
    points = torch.tensor(card + wall)
    colours = points[:, :2].fliplr() / 64 + torch.tensor([0.5, 0.1]) * (points[:, 2:] > 0.3)
    return points, torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]), colours[None]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("backward", [cpu.edge_backward, edges.edge_backward])
def test_colours_are_carried_on_to_the_outline(backward: Callable[..., Tensor], axis: int) -> None:
    points, triangles, colours = cards()
    weights = torch.sin(torch.arange(64) / 9)[:, None, None] + torch.tensor([1.0, -0.4])
    if axis == 1:  # the same scene, turned on its side
        points, weights = points[:, [1, 0, 2]], weights.transpose(0, 1)
    clip = clip_from_pixel([(x, y, z) for x, y, z in points.tolist()], (64, 64))
    weights, motion = weights.expand(64, 64, 2), torch.zeros_like(clip)
    motion[..., axis] = 2 / 64  # everything moves by a pixel

    def picture_of(clip: Tensor, size: int) -> Tensor:
        return rasterizer.interpolate(colours, clip, triangles, rasterizer.rasterize(clip, triangles, (size, size)))

    expected = supersampled_change(picture_of, clip, motion, weights)
    moved = clip.clone().requires_grad_()
    ids = rasterizer.rasterize(moved, triangles, (64, 64))
    picture = rasterizer.interpolate(colours, moved, triangles, ids)
    (inside,) = torch.autograd.grad((picture[0] * weights).sum(), moved)
    picture, errors = picture.detach(), []
    for carried_px in (0.0, edges.CARRIED_PX):
        outlines = backward(picture, weights[None], clip, triangles, ids, carried_px=carried_px)
        errors.append(abs(float(((inside + outlines) * motion).sum()) - expected))
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize("backward", [cpu.edge_backward, edges.edge_backward])
def test_a_line_beside_an_outline_is_not_carried_on(backward: Callable[..., Tensor]) -> None:
    clip = clip_from_pixel([(-9, -9, 0), (9.8, -9, 0), (9.8, 99, 0), (-9, 99, 0)], (64, 64))
    triangles, change = torch.tensor([[0, 1, 2], [0, 2, 3]]), smooth_weights(64, 3)[None]
    ids = rasterizer.rasterize(clip, triangles, (64, 64))
    ramp = rasterizer.coverage(ids) * torch.tensor([1.0, -2.0, 0.5]) * torch.arange(64.0)[:, None]
    line = ramp.sign() * (torch.arange(64) == 9)[:, None]
    for image, goes_on in ((ramp, True), (line, False)):
        carried, plain = (backward(image, change, clip, triangles, ids, carried_px=by) for by in (0.5, 0.0))
        assert torch.equal(carried, plain) != goes_on


@pytest.mark.parametrize("backward", [cpu.edge_backward, edges.edge_backward])
def test_constant_colours_have_nothing_to_carry_on(backward: Callable[..., Tensor]) -> None:
    clip, triangles, _ = sphere_before_wall(1)
    for mesh, occlusion in ((triangles[:-2], True), (triangles, True), (triangles[:-2], False)):
        ids = rasterizer.rasterize(clip, mesh, (40, 40))
        on_wall = (ids >= len(triangles) - 2).unsqueeze(-1)
        image = 0.7 * rasterizer.coverage(ids) - 0.4 * on_wall  # one colour for each surface
        change = torch.rand(1, 40, 40, 1, generator=torch.Generator().manual_seed(5))
        carried, plain = (backward(image, change, clip, mesh, ids, occlusion, by) for by in (0.5, 0.0))
        if occlusion and len(mesh) == len(triangles):
            assert relative_error(carried, plain) < 0.05  # the walk misses a pair or two of the inner outline
        else:
            assert torch.equal(carried, plain) and plain.any()


@pytest.mark.parametrize("backward", [cpu.edge_backward, edges.edge_backward])
def test_colours_are_carried_on_neither_across_outlines_nor_without_a_search_for_them(
    backward: Callable[..., Tensor],
) -> None:
    clip, change = (
        clip_from_pixel([(9.8, -9, 0), (11.1, -9, 0), (11.1, 99, 0), (9.8, 99, 0)], (64, 64)),
        smooth_weights(64, 3),
    )
    triangles, generator = torch.tensor([[0, 1, 2], [0, 2, 3]]), torch.Generator().manual_seed(6)
    ids = rasterizer.rasterize(clip, triangles, (64, 64))
    assert ((ids >= 0).sum(dim=2) == 1).all()  # one pixel wide, on black
    image = torch.rand(1, 64, 64, 3, generator=generator) * rasterizer.coverage(ids)
    assert torch.equal(*(backward(image, change[None], clip, triangles, ids, True, by) for by in (0.5, 0.0)))
    image = torch.rand(1, 64, 64, 3, generator=generator)  # the background goes on
    carried, plain = (backward(image, change[None], clip, triangles, ids, True, by) for by in (0.5, 0.0))
    assert relative_error(carried, plain) > 0.1
    assert torch.equal(*(backward(image, change[None], clip, triangles, ids, False, by) for by in (0.5, 0.0)))


def test_more_outlines_than_there_is_room_for_are_refused_in_torch() -> None:
    corners = torch.rand(300, 2, generator=torch.Generator().manual_seed(7)) * 8
    clip = clip_from_pixel([(x, y, 0.0) for x, y in corners.tolist()], (8, 8))
    triangles, image = torch.arange(300).view(-1, 3), torch.rand(1, 8, 8, 1)
    ids = rasterizer.rasterize(clip, triangles, (8, 8))
    with pytest.raises(RuntimeError, match="more outlines than pixels"):
        edges.edge_backward(image, image, clip, triangles, ids)
    assert edges.edge_backward(image, image, clip, triangles, ids, occlusion=False).isfinite().all()


def test_an_edge_that_three_triangles_share_keeps_two_of_them() -> None:
    found = edges.triangle_neighbours(torch.tensor([[0, 1, 2], [1, 0, 3], [0, 1, 4]]))
    assert found.tolist() == [[-1, -1, 1], [-1, -1, 0], [-1, -1, 1]]


def test_edge_gradient_leaves_the_image_and_its_gradient_alone() -> None:
    clip, triangles, _ = sphere_before_wall(1)
    ids = rasterizer.rasterize(clip, triangles[:-2], (12, 12))
    image = torch.rand(1, 12, 12, 3, requires_grad=True)
    change = torch.rand(1, 12, 12, 3)
    result = rasterizer.edge_gradient(image, clip.requires_grad_(), triangles[:-2], ids)
    result.backward(change)
    assert torch.equal(result, image) and torch.equal(image.grad, change)


def test_neighbours_of_a_strip() -> None:
    found = edges.triangle_neighbours(torch.tensor([[0, 1, 2], [2, 1, 3], [2, 3, 4]]))
    assert found.tolist() == [[1, -1, -1], [-1, 2, 0], [-1, -1, 1]]


# --- the same whatever the machine


def everything(clip: Tensor, triangles: Tensor) -> list[Tensor]:
    """All results, forward and backward."""
    attributes = torch.sin(torch.arange(clip.shape[1] * 2)).view(1, -1, 2).repeat(len(clip), 1, 1).requires_grad_()
    clip = clip.clone().requires_grad_()
    ids = rasterizer.rasterize(clip, triangles, (33, 35))
    picture = rasterizer.interpolate(attributes, clip, triangles, ids)
    rasterizer.edge_gradient(picture, clip, triangles, ids).square().sum().backward()
    return [ids, picture.detach(), attributes.grad, clip.grad]


@EVERY_KERNEL
def test_threads_and_batches_do_not_change_a_bit(threads: Callable[[int], None]) -> None:
    clip, triangles, _ = sphere_before_wall(3)
    threads(1)
    expected = everything(clip, triangles)
    for count in (2, 5):  # five threads also cut each picture into bands
        threads(count)
        assert all(map(torch.equal, everything(clip, triangles), expected))
        split = zip(*(everything(clip[k : k + 1], triangles) for k in range(3)), strict=True)
        assert all(torch.equal(torch.cat(parts), whole) for parts, whole in zip(split, expected, strict=True))


# --- the back end for GPUs


def stand_in_for_nvdiffrast() -> SimpleNamespace:
    """What `nvdiffrast.torch` documents, made from the readable reference, on the CPU."""

    def rasterize(context: str, pos: Tensor, tri: Tensor, resolution: tuple[int, int], grad_db: bool) -> list[Tensor]:
        assert (context, pos.dtype, tri.dtype, grad_db) == ("context", torch.float32, torch.int32, False)
        ids = reference.rasterize(pos, tri, resolution)
        return [torch.cat([torch.zeros(*ids.shape, 3), ids[..., None] + 1.0], dim=-1), torch.empty(0)]

    def interpolate(attr: Tensor, rast: Tensor, tri: Tensor) -> list[Tensor]:
        ids = rast[..., 3].long() - 1
        weights = torch.cat([rast[..., :2], 1 - rast[..., :2].sum(-1, keepdim=True)], dim=-1)
        pictures = torch.arange(len(ids))[:, None, None, None]
        values = (weights[..., None] * attr[pictures, tri.long()[ids.clamp_min(0)]]).sum(dim=-2)
        return [torch.where((ids >= 0)[..., None], values, 0), torch.empty(0)]

    return SimpleNamespace(rasterize=rasterize, interpolate=interpolate, RasterizeCudaContext=lambda device: "context")


def assert_same_as_cpu(clip: Tensor, triangles: Tensor, agreement: float) -> None:
    """Ids of the CUDA back end agree with the CPU's; on the same ids, so do picture and gradients."""
    ids = cuda.rasterize(clip, triangles, (41, 29))
    assert ids.dtype == torch.int32
    assert (ids.cpu() == cpu.rasterize(clip.cpu(), triangles.cpu(), (41, 29))).float().mean() >= agreement
    results = []
    for back_end, device in ((cuda, clip.device), (cpu, torch.device("cpu"))):
        points = clip.to(device).detach().requires_grad_()
        colours = torch.sin(torch.arange(clip.shape[1] * 3.0)).view(1, -1, 3).repeat(len(clip), 1, 1).to(device)
        colours.requires_grad_()
        picture = back_end.interpolate(colours, points, triangles.to(device), ids.to(device))
        picture = back_end.edge_gradient(picture, points, triangles.to(device), ids.to(device))
        picture.square().sum().backward()
        results.append([tensor.cpu() for tensor in (picture.detach(), colours.grad, points.grad)])
    for found, expected in zip(*results, strict=True):
        assert relative_error(found, expected) < 1e-3


def test_cuda_back_end_through_a_stand_in_agrees_with_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_nvdiffrast", stand_in_for_nvdiffrast)
    cuda._context.cache_clear()
    clip, triangles, _ = sphere_before_wall()
    assert_same_as_cpu(clip, triangles[:-2], agreement=0.995)
    clip[:, triangles[0], 0] = NAN  # background pixels must not pick it up
    only_sphere = clip.requires_grad_()
    ids = cuda.rasterize(only_sphere, triangles[:-2], (20, 20))
    cuda.interpolate(clip, only_sphere, triangles[:-2], ids)[..., :2].sum().backward()
    assert only_sphere.grad.isfinite().all()
    cuda._context.cache_clear()


def test_missing_nvdiffrast_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nvdiffrast.torch", None)
    cuda._nvdiffrast.cache_clear()
    with pytest.raises(ImportError, match="needs nvdiffrast"):
        cuda._nvdiffrast()


@pytest.mark.cuda
@NEEDS_GPU
def test_cuda_agrees_with_the_cpu() -> None:
    clip, triangles, _ = sphere_before_wall()
    # nvdiffrast rounds vertices to 1/16 px.
    assert_same_as_cpu(clip.cuda(), triangles.cuda(), agreement=0.97)


@pytest.mark.cuda
@NEEDS_GPU
def test_device_of_clip_chooses_the_back_end() -> None:
    clip, triangles, _ = sphere_before_wall()
    assert rasterizer.rasterize(clip.cuda(), triangles.cuda(), (16, 16)).is_cuda
