"""Speed of the CPU renderer as ratios, both sides measured in turn within one run.

    OMP_WAIT_POLICY=passive python -m benchmarks.renderer --face-model data/face_model.h5

Ratios survive a change of machine, milliseconds do not. Every line names what is divided by what; the goals in brackets
are those of the design. `autograd` is the same renderer with torch's own derivatives on the same triangle ids. `native`
are the C++ kernels, left out where there is no compiler. `floor` is the time of a renderer that only waits for memory:
torch copies, on all threads, as many bytes as forward and backward pass have to move at least (`compulsory_bytes`, half
of them read and half written).
The wait policy keeps torch's idle threads from spinning on the cores that the kernels want.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.face_meshes import Mesh, subdivide
from models.camera import Camera, camera_from_model, clip_from_camera
from models.face_model import FaceModelArrays
from models.rasterizer import coverage, cpu, edges, interpolate, native, rasterize
from models.rasterizer.barycentric import corner_weights, pixel_centres
from pipelines.face_model_file import load_face_model_arrays


class Scene(NamedTuple):
    """A batch of turned faces."""

    clip: Tensor  # (B, V, 4)
    triangles: Tensor  # (F, 3)
    colours: Tensor  # (B, V, C)
    change: Tensor  # (B, H, W, C): gradient to the picture

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return self.change.shape[1], self.change.shape[2]

    def with_channels(self, count: int) -> "Scene":
        """The same with the first channels only."""
        return self._replace(
            colours=self.colours[..., :count].contiguous(), change=self.change[..., :count].contiguous()
        )


def main() -> None:
    """Print the ratios."""
    options = _options()
    scene = make_scene(load_face_model_arrays(options.face_model), options.batch, options.size, options.subdivisions)
    print(
        f"{scene.clip.shape[1]} vertices, {len(scene.triangles)} triangles, {options.size} px, batch {options.batch},"
        f" {torch.get_num_threads()} threads"
    )
    contenders = make_contenders(scene)
    milliseconds = measure(contenders, options.rounds)
    for name, value in milliseconds.items():
        print(f"  {name:<28}{value / options.batch:8.3f} ms per image")
    print(f"  {compulsory_bytes(scene.with_channels(3)) / 1e6:.2f} MB per image have to be moved")
    for text, above, below in RATIOS:
        if above in milliseconds and below in milliseconds:
            print(f"  {text:<64}{milliseconds[above] / milliseconds[below]:6.2f}")


RATIOS = [
    ("R1 autograd / ours, forward and backward (>= 4.5)", "autograd", "ours"),
    ("R1 autograd / native, forward and backward (>= 8)", "autograd", "native"),
    ("R2 ours / copying the compulsory bytes (<= 7)", "ours", "floor"),
    ("R2 native / copying the compulsory bytes (<= 4)", "native", "floor"),
    ("R6 edge gradient of a mask / ours (<= 0.25)", "edges of a mask", "ours"),
    ("R6 edge gradient with occlusion / ours (<= 0.6)", "edges with occlusion", "ours"),
    ("R6 edge gradient in torch / compiled", "edges in torch", "edges with occlusion"),
    ("R8 one thread / all threads (>= 1.8 for two)", "ours, one thread", "ours"),
    ("R8 one thread / all threads, native", "native, one thread", "native"),
    ("R8 seven channels / three (<= 1.4)", "ours, seven channels", "ours"),
    ("R8 seven channels / three, native", "native, seven channels", "native"),
    ("R8 picture by picture / as a batch (<= 1.8)", "ours, one by one", "ours"),
    ("R8 picture by picture / as a batch, native (<= 1.8)", "native, one by one", "native"),
]


def make_scene(arrays: FaceModelArrays, batch: int, size: int, subdivisions: int) -> Scene:
    """The mean face, each triangle cut into four `subdivisions` times, turned by up to 40 degrees."""
    mesh = Mesh(torch.from_numpy(arrays.mean_shape), torch.from_numpy(arrays.triangles), "")
    for _ in range(subdivisions):
        mesh = subdivide(mesh)
    vertices, triangles, _ = mesh
    generator = torch.Generator().manual_seed(0)
    turns = (torch.rand(batch, 3, generator=generator) * 2 - 1) * torch.tensor([20.0, 40.0, 10.0]) * math.pi / 180
    points = camera_from_model(vertices.expand(batch, -1, -1), turns, torch.zeros(batch, 3), torch.ones(batch, 1))
    clip = clip_from_camera(points, Camera(math.radians(12.6), 1000.0))
    colours = torch.rand(batch, len(vertices), 7, generator=generator)
    change = torch.randn(batch, size, size, 7, generator=generator)
    return Scene(clip, triangles, colours, change)


def make_contenders(scene: Scene) -> dict[str, Callable[[], None]]:
    """What is timed, by name."""
    seven, three = scene, scene.with_channels(3)
    clip, triangles, colours, change = three
    ids = rasterize(clip, triangles, three.size)
    picture, mask = interpolate(colours, clip, triangles, ids), coverage(ids)
    mask_change = change[..., :1].contiguous()
    half = torch.zeros(len(clip) * compulsory_bytes(three) // 2, dtype=torch.uint8)
    other_half = torch.zeros_like(half)
    contenders = {
        # The two that need much memory come first: next to ours and native they would leave cold caches.
        "edges in torch": lambda: _drop(edges.edge_backward(picture, change, clip, triangles, ids)),
        "autograd": with_kernels(False, lambda: render(three, interpolate_with_autograd)),
        "floor": lambda: _drop(other_half.copy_(half)),
        "edges of a mask": lambda: _drop(cpu.edge_backward(mask, mask_change, clip, triangles, ids, False)),
        "edges with occlusion": lambda: _drop(cpu.edge_backward(picture, change, clip, triangles, ids)),
    }
    for name, native_wanted in (("ours", False), ("native", True)):
        if native_wanted and native.library() is None:
            continue
        variants = {
            name: lambda: render(three, interpolate),
            f"{name}, seven channels": lambda: render(seven, interpolate),
            f"{name}, one thread": lambda: _on_one_thread(lambda: render(three, interpolate)),
            f"{name}, one by one": lambda: _one_by_one(three),
        }
        contenders |= {variant: with_kernels(native_wanted, work) for variant, work in variants.items()}
    return contenders


def compulsory_bytes(scene: Scene) -> int:
    """Bytes per image of what a forward and a backward pass read and write once each, without intermediate results.

    Both read clip coordinates, colours and triangles; the forward pass writes ids and picture; the backward pass reads
    ids and the picture's gradient and writes the gradients to clip coordinates and colours. All numbers have 4 bytes.
    """
    vertices, channels = scene.colours.shape[1:]
    pixels = scene.size[0] * scene.size[1]
    mesh = vertices * (4 + channels) + scene.triangles.numel()
    image = pixels * (1 + channels)
    return 4 * (mesh + image + mesh + image + vertices * (4 + channels))


def with_kernels(native_wanted: bool, work: Callable[[], None]) -> Callable[[], None]:
    """The same work with the C++ kernels or with numba's."""

    def run() -> None:
        with cpu.native_kernels(native_wanted):
            work()

    return run


def _on_one_thread(work: Callable[[], None]) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    work()
    torch.set_num_threads(threads)


def _one_by_one(scene: Scene) -> None:
    """Render the batch as batches of one."""
    for k in range(len(scene.clip)):
        one = slice(k, k + 1)
        render(Scene(scene.clip[one], scene.triangles, scene.colours[one], scene.change[one]), interpolate)


def render(scene: Scene, interpolate: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
    """Forward and backward pass of one batch; the gradient to the picture, a loss's affair, is at hand."""
    clip, colours = scene.clip.detach().requires_grad_(), scene.colours.detach().requires_grad_()
    ids = rasterize(clip, scene.triangles, scene.size)
    picture = interpolate(colours, clip, scene.triangles, ids)
    picture.backward(scene.change)


def interpolate_with_autograd(attributes: Tensor, clip: Tensor, triangles: Tensor, ids: Tensor) -> Tensor:
    """The same as `models.rasterizer.interpolate` with gathers on the covered pixels and torch's derivatives."""
    pictures, rows, columns = (ids >= 0).nonzero(as_tuple=True)
    vertices = triangles[ids[pictures, rows, columns].long()].long() + (pictures * clip.shape[1])[:, None]
    centres = pixel_centres(rows, columns, (ids.shape[1], ids.shape[2])).to(clip.dtype)
    weights = corner_weights(clip.reshape(-1, 4)[vertices], centres)
    values = (weights[..., None] * attributes.flatten(0, 1)[vertices]).sum(dim=1)
    picture = attributes.new_zeros(*ids.shape, attributes.shape[2])
    return picture.index_put((pictures, rows, columns), values)


def measure(contenders: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, taken in turn so that a busy moment hits all of them."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        work()  # compiles, and fills caches
    for _ in range(rounds):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            samples[name].append((time.perf_counter() - start) * 1000)
    return {name: statistics.median(values) for name, values in samples.items()}


def _drop(_: Tensor) -> None:
    """Forget a result."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--face-model", type=Path, required=True)
    parser.add_argument("--subdivisions", type=int, default=1, help="cuts of every triangle into four")
    parser.add_argument("--size", type=int, default=224, help="px")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=11)
    return parser.parse_args()


if __name__ == "__main__":
    main()
