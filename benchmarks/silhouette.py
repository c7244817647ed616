"""How right the gradient of outlines is: our edge gradient and pixel-pair antialiasing against finite differences.

    python -m benchmarks.silhouette --face-model data/face_model.h5
    python -m benchmarks.silhouette --face-model data/face_model.h5 --figure docs/images/silhouette-gradients.png

R5. The mean face, cut or refined to a number of vertices, is drawn in three random poses (yaw within 40 degrees, pitch
20, roll 10, about two thirds of the picture high). The value is L = sum of G times the picture over pixels, channels
and the three pictures; G is a smooth function of place. The picture is the mask of the face, a colour that varies over
the face, or noise: a random colour at every vertex; on black. Then the mask of the patch between the lips, which the
renderer draws alone.

The error of an operator is |a - f| / |f| over eight motions of the vertices: a shift of one pixel to the right and one
downward, growth and turn by one percent, four smooth fields of one pixel. `a` is what the operator's gradient says that
L changes along each, `f` the central difference of L, a quarter of the motion to either side, on the box-filtered
picture: 16 x 16 samples a pixel, no operator. A seed draws the poses and the fields. 0 is exact; no gradient at all
gives 1. Ratios divide an operator's mean error over the seeds by ours. Numbers in brackets are the design's goals for
the face. In noise, one sample a pixel says little of how the colours inside of the outlines move, and that would drown
everything else; so their part is taken from both sides, at one sample from `a` and at 16 x 16 samples from `f`.

R7. The compiled rasterizer in float32 against the readable one in float64 on the same scenes: triangle ids, and
gradients on the ids of either. With our ids some centres lie outside of the triangle that they show, by the rounding of
vertices; there our weights stop at zero, and the reference extrapolates.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.face_meshes import Mesh, face_mesh, mouth_mesh
from models.camera import Camera, camera_from_model, clip_from_camera
from models.rasterizer import coverage, cpu, edge_gradient, edges, interpolate, rasterize, reference
from models.rasterizer.pixel_pair import crossings
from pipelines.face_model_file import load_face_model_arrays

CAMERA = Camera(math.radians(12.6), 1000.0)
SIZE, POSES = 224, 3
SAMPLES = 16  # per pixel and direction
STEP = 0.25  # of a motion
CHANNEL_WEIGHTS = {"mask": (1.0,), "colour": (1.0, -0.7, 0.5), "noise": (1.0, -0.7, 0.5)}

Picture = Callable[[Tensor], Tensor]  # clip coordinates -> (B, H, W, C)
Operator = Callable[["Scene", str, Tensor], Tensor]  # the same of a scene and a kind of picture


class Scene(NamedTuple):
    """One mesh in a few poses."""

    clip: Tensor  # (B, V, 4)
    triangles: Tensor  # (F, 3)
    attributes: dict[str, Tensor]  # of the vertices (V, C), by kind of picture
    size: int  # px


class Result(NamedTuple):
    """What is measured for one mesh and one seed."""

    errors: dict[tuple[str, str], float]  # by picture and operator
    found: float  # share of the pixel pairs at the outline in which pixel-pair antialiasing finds an edge


def main() -> None:
    """Print both tables; draw the figure if asked."""
    options = _options()
    arrays = load_face_model_arrays(options.face_model)
    for vertex_count in options.vertices:
        mesh = face_mesh(arrays, vertex_count)
        print_errors(mesh, options.seeds, ["mask", "colour", "noise"])
        print_agreement(make_scene(mesh, options.seeds[0]), options.seeds[0])
    for opening in options.mouth:
        print_errors(mouth_mesh(arrays, opening), options.seeds, ["mask"])
    if options.figure:
        from benchmarks.silhouette_figure import save_figure

        save_figure(arrays, options.figure)


def make_scene(mesh: Mesh, seed: int, size: int = SIZE) -> Scene:
    """The mesh in random poses: white, coloured by place, and noisy."""
    generator = np.random.default_rng(seed)
    turns, shifts, scales = [], [], []
    for _ in range(POSES):
        turns.append(np.radians(generator.uniform(-1, 1, 3) * [20, 40, 10]))
        shifts.append(generator.uniform(-5, 5, 3) * [1, 1, 0])
        scales.append(generator.uniform(0.75, 0.875, 1))
    pose = [torch.from_numpy(np.array(values, np.float32)) for values in (turns, shifts, scales)]
    points = camera_from_model(mesh.vertices.expand(POSES, -1, -1), pose[0], pose[1], pose[2])
    attributes = {
        "mask": torch.ones(len(mesh.vertices), 1),
        "colour": 0.5 + 0.5 * torch.sin(mesh.vertices / 20),
        "noise": torch.rand(len(mesh.vertices), 3, generator=torch.Generator().manual_seed(seed)),
    }
    return Scene(clip_from_camera(points, CAMERA), mesh.triangles, attributes, size)


def measure(scene: Scene, seed: int, kinds: list[str]) -> Result:
    """Errors of every operator on one scene, for pictures of some kinds."""
    moves, weights = motions(scene.clip, seed, scene.size), place_weights(scene.size)
    exact = finite_differences(scene, moves, weights, kinds)
    errors = {}
    for kind in kinds:
        change = weights[..., None] * torch.tensor(CHANNEL_WEIGHTS[kind]).double()
        coarse, fine = (
            inside(scene, kind, change, moves, samples) if kind == "noise" else 0 for samples in (1, SAMPLES)
        )
        for name, operator in operators(kind).items():
            found = derivatives(partial(operator, scene, kind), scene.clip, change, moves)
            errors[kind, name] = relative_error(found - coarse, exact[kind] - fine)
    return Result(errors, share_of_outline_found(scene))


def motions(clip: Tensor, seed: int, size: int) -> Tensor:
    """Eight motions (8, B, V, 4) of the clip coordinates."""
    x, y, _, w = clip.unbind(dim=-1)
    pixel, still = 2 / size * w, torch.zeros_like(w)
    plane = [(pixel, still), (still, pixel), (x * 0.01, y * 0.01), (-y * 0.01, x * 0.01)]
    generator = np.random.default_rng(seed)
    for _ in range(4):
        frequency = torch.from_numpy(generator.normal(size=(2, 3)) * 6).float()
        phase = generator.uniform(0, 6, 2)
        waves = [torch.sin(clip[..., :3] / CAMERA.distance_mm @ frequency[k] + phase[k]) for k in range(2)]
        plane.append((pixel * waves[0], pixel * waves[1]))
    return torch.stack([torch.stack([dx, dy, still, still], dim=-1) for dx, dy in plane])


def place_weights(size: int) -> Tensor:
    """G: four random waves over each picture (B, H, W), the same for all seeds."""
    rows, columns = np.mgrid[0:size, 0:size]
    generator = np.random.default_rng(1)
    waves = [
        [np.sin(columns * a / 30 + rows * b / 30 + c) for a, b, c in generator.normal(size=(4, 3))]
        for _ in range(POSES)
    ]
    return torch.from_numpy(np.sum(waves, axis=1))


def finite_differences(scene: Scene, moves: Tensor, weights: Tensor, kinds: list[str]) -> dict[str, Tensor]:
    """Change of L along every motion, by kind of picture: central differences of the box-filtered picture."""
    attributes = torch.cat([scene.attributes[kind] for kind in kinds], dim=-1)
    channels = [len(CHANNEL_WEIGHTS[kind]) for kind in kinds]
    exact = torch.zeros(len(moves), len(kinds)).double()
    for number, move in enumerate(moves):
        for picture in range(len(scene.clip)):
            for sign in (1, -1):
                clip = scene.clip[picture] + sign * STEP * move[picture]
                filtered = box_filtered(clip, scene.triangles, attributes, scene.size)
                sums = (filtered * weights[picture, ..., None]).sum(dim=(0, 1)).split(channels)
                for index, kind in enumerate(kinds):
                    exact[number, index] += sign * (sums[index] @ torch.tensor(CHANNEL_WEIGHTS[kind]).double())
    return dict(zip(kinds, (exact / (2 * STEP)).unbind(dim=1), strict=True))


def inside(scene: Scene, kind: str, change: Tensor, moves: Tensor, samples: int) -> Tensor:
    """What the motion of the colours inside of the outlines adds to the change of L along every motion."""
    parts = []
    for picture in range(len(scene.clip)):
        one = slice(picture, picture + 1)
        drawn = partial(without_edges, scene, kind, samples=samples)
        parts.append(derivatives(drawn, scene.clip[one], change[one], moves[:, one]))
    return torch.stack(parts).sum(dim=0)


def box_filtered(clip: Tensor, triangles: Tensor, attributes: Tensor, size: int) -> Tensor:
    """Attributes of the vertices (V, C) in one picture (H, W, C), every pixel the mean of its samples, float64."""
    fine = size * SAMPLES
    picture = interpolate(attributes[None], clip[None], triangles, rasterize(clip[None], triangles, (fine, fine)))
    return picture.view(size, SAMPLES, size, SAMPLES, -1).mean(dim=(1, 3), dtype=torch.float64)


def derivatives(picture_of: Picture, clip: Tensor, change: Tensor, moves: Tensor) -> Tensor:
    """What an operator says that the sum of `change` times its picture changes along every motion."""
    moved = clip.clone().requires_grad_()
    (picture_of(moved) * change).sum().backward()
    assert moved.grad is not None
    return (moves * moved.grad).double().sum(dim=(1, 2, 3))


def plain(scene: Scene, kind: str, clip: Tensor, samples: int = 1) -> tuple[Tensor, Tensor]:
    """A picture without any gradient from outlines, and its triangle ids."""
    ids = rasterize(clip.detach(), scene.triangles, (scene.size * samples, scene.size * samples))
    if kind == "mask":
        return coverage(ids), ids
    colours = scene.attributes[kind].expand(len(clip), -1, -1)
    return interpolate(colours, clip, scene.triangles, ids), ids


def without_edges(scene: Scene, kind: str, clip: Tensor, samples: int = 1) -> Tensor:
    """No operator; what is left is the motion of the colours inside the outlines."""
    return averaged(plain(scene, kind, clip, samples)[0], samples) + 0 * clip.sum()


def micro_edges(scene: Scene, kind: str, clip: Tensor, samples: int = 1) -> Tensor:
    """Ours."""
    picture, ids = plain(scene, kind, clip, samples)
    return averaged(edge_gradient(picture, clip, scene.triangles, ids, occlusion=kind != "mask"), samples)


def not_carried_on(scene: Scene, kind: str, clip: Tensor) -> Tensor:
    """Ours, but with the colours at the pixel centres instead of the outline."""
    picture, ids = plain(scene, kind, clip)
    return edges.attach_edge_gradient(
        picture, clip, scene.triangles, ids, partial(cpu.edge_backward, occlusion=True, carried_px=0.0)
    )


def pixel_pair(scene: Scene, kind: str, clip: Tensor, samples: int = 1) -> Tensor:
    """Pixel-pair antialiasing; with more samples drawn larger and averaged, as nvdiffrast's manual advises."""
    picture, ids = plain(scene, kind, clip, samples)
    return averaged(edge_gradient(picture, clip, scene.triangles, ids, method="pixel_pair"), samples)


def averaged(picture: Tensor, samples: int) -> Tensor:
    """Every `samples` x `samples` pixels made one."""
    return picture.unflatten(2, (-1, samples)).unflatten(1, (-1, samples)).mean(dim=(2, 4))


def operators(kind: str) -> dict[str, Operator]:
    """What is compared for a kind of picture, by name; a mask has no colour to carry on."""
    chosen: dict[str, Operator] = {OURS: micro_edges, COMPARED: pixel_pair}
    if kind != "noise":
        chosen |= {"pixel-pair, 4 x 4": partial(pixel_pair, samples=4), "no operator": without_edges}
        chosen |= {"micro-edges, 4 x 4": partial(micro_edges, samples=4)}
    if kind != "mask":
        chosen |= {"micro-edges, not carried on": not_carried_on}
    return chosen


OURS, COMPARED = "micro-edges (ours)", "pixel-pair"
GOALS = {"mask": 0.04, "colour": 0.10}


def share_of_outline_found(scene: Scene) -> float:
    """Of the pixel pairs with the face on one side and background on the other, those with an edge in pixel-pair AA.

    Never all: a slanting outline steps from pixel to pixel both ways, and only one kind of pair counts. Of a circle
    with no edge lost it is 1 / sqrt(2).
    """
    ids = rasterize(scene.clip, scene.triangles, (scene.size, scene.size))
    seen = ids >= 0
    pairs = (seen[:, 1:] != seen[:, :-1]).sum() + (seen[:, :, 1:] != seen[:, :, :-1]).sum()
    behind = crossings(scene.clip, scene.triangles, ids).behind
    return float((~seen.flatten()[behind]).sum() / pairs)


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Length of the difference over that of what is expected."""
    found, expected = found.double(), expected.double()
    return float((found - expected).norm() / expected.norm())


def print_errors(mesh: Mesh, seeds: list[int], kinds: list[str]) -> None:
    """R5 of one mesh."""
    results = [measure(make_scene(mesh, seed), seed, kinds) for seed in seeds]
    found = np.mean([result.found for result in results])
    vertices = len(mesh.triangles.unique())
    print(f"{vertices} vertices, {len(mesh.triangles)} triangles, {SIZE} px ({mesh.origin})")
    print(
        f"  pixel-pair finds an edge in {100 * found:.0f} % of the pixel pairs at the outline (71 %: all of a circle)"
    )
    print(f"  {'R5, error':<38}" + "".join(f"{f'seed {seed}':>9}" for seed in seeds) + f"{'mean':>9}{'/ ours':>9}")
    for kind in kinds:
        means = {name: float(np.mean([result.errors[kind, name] for result in results])) for name in operators(kind)}
        for name, mean in means.items():
            title = f"{kind}, {name}" + (f" (<= {GOALS[kind]:.2f})" if name == OURS and kind in GOALS else "")
            values = "".join(f"{result.errors[kind, name]:9.3f}" for result in results)
            print(f"  {title:<38}{values}{mean:9.3f}{mean / means[OURS]:9.1f}", flush=True)


def print_agreement(scene: Scene, seed: int) -> None:
    """R7 of one mesh."""
    size = (scene.size, scene.size)
    ids, exact = rasterize(scene.clip, scene.triangles, size), exact_ids(scene, size)
    covered = exact >= 0
    same = float((ids == exact)[covered].double().mean())
    coverages = float(((ids >= 0) == covered).double().mean())
    print(f"  R7, seed {seed}: ids of covered pixels {100 * same:.2f} % (>= 99.5)")
    print(f"  R7, seed {seed}: coverage {100 * coverages:.4f} % (>= 99.995)")
    to_colours, to_clip = gradient_errors(scene, exact, seed)
    print(f"  R7, on float64 ids: d/dattribute {to_colours:.1e} (<= 1e-4), d/dposition {to_clip:.1e} (<= 2e-3)")
    to_colours, to_clip = gradient_errors(scene, ids, seed)
    print(f"  R7, on our ids: d/dattribute {to_colours:.1e}, d/dposition {to_clip:.1e}")


def exact_ids(scene: Scene, size: tuple[int, int], tile: int = 16) -> Tensor:
    """Triangle ids (B, H, W) from the readable rasterizer in float64.

    It compares every pixel with every triangle. Here each square of pixels is a picture of its own that meets only the
    triangles whose bounding box touches it; the others cannot cover any of its pixels.
    """
    height, width = size
    ids = torch.full((len(scene.clip), height, width), -1, dtype=torch.int32)
    for picture, clip in enumerate(scene.clip.double()):
        for top, left in _tiles(size, tile):
            rows, columns = min(tile, height - top), min(tile, width - left)
            stretch = torch.tensor([width / columns, height / rows]).double()
            shift = torch.tensor([(width - 2 * left) / columns - 1, (height - 2 * top) / rows - 1]).double()
            moved = torch.cat([clip[:, :2] * stretch + clip[:, 3:] * shift, clip[:, 2:]], dim=-1)
            corners = (moved[:, :2] / moved[:, 3:])[scene.triangles.long()]
            touches = ((corners.amax(dim=1) >= -1) & (corners.amin(dim=1) <= 1)).all(dim=-1).nonzero()[:, 0]
            if len(touches):
                found = reference.rasterize(moved[None], scene.triangles[touches], (rows, columns))[0].long()
                found = torch.where(found >= 0, touches[found], -1).int()
                ids[picture, top : top + rows, left : left + columns] = found
    return ids


def gradient_errors(scene: Scene, ids: Tensor, seed: int) -> tuple[float, float]:
    """Relative errors of the compiled gradients to attributes and positions against autograd in float64, same ids."""
    generator = torch.Generator().manual_seed(seed)
    attributes = torch.rand(*scene.clip.shape[:2], 3, generator=generator)
    change = torch.randn(*ids.shape, attributes.shape[-1], generator=generator)
    gradients = []
    for module, dtype in ((interpolate, torch.float32), (reference.interpolate, torch.float64)):
        inputs = [tensor.to(dtype, copy=True).requires_grad_() for tensor in (attributes, scene.clip)]
        picture = module(inputs[0], inputs[1], scene.triangles, ids)
        gradients.append(torch.autograd.grad(picture, inputs, change.to(dtype)))
    (to_attributes, to_clip), exact = gradients
    return relative_error(to_attributes, exact[0]), relative_error(to_clip, exact[1])


def _tiles(size: tuple[int, int], tile: int) -> Iterator[tuple[int, int]]:
    """Top and left of squares that cover a picture."""
    for top in range(0, size[0], tile):
        for left in range(0, size[1], tile):
            yield top, left


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--face-model", type=Path, required=True)
    parser.add_argument("--vertices", type=int, nargs="+", default=[5000, 8000, 28000, 37000])
    parser.add_argument("--mouth", type=float, nargs="*", default=[0.2, 0.6], help="activations of jawOpen, 0 to 1")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--figure", type=Path, help="draw the gradients into this PNG file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
