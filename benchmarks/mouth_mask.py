"""How many samples a pixel the mask of the inner mouth needs: how right its gradient is, and what drawing it costs.

    OMP_WAIT_POLICY=passive python -m benchmarks.mouth_mask --face-model data/face_model.h5

Error as in `benchmarks.silhouette`, of `models.renderer.patch_mask`: mean over the seeds, against central differences
of the same patch with 32 x 32 samples a pixel. Cost: forward and backward pass of the mask, divided by those of a
picture of the whole face with three channels; both measured in turn, wide open, a batch of 16.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import renderer, silhouette
from benchmarks.face_meshes import Mesh, mouth_mesh
from models.face_model import FaceModelArrays
from models.rasterizer import EdgeMethod, interpolate
from models.renderer import patch_mask
from pipelines.face_model_file import load_face_model_arrays

SIZES = (224, 112)  # px
OPENINGS = {"a little open": 0.2, "wide open": 0.6}  # activations of jawOpen
METHODS: tuple[EdgeMethod, ...] = ("micro_edges", "pixel_pair")
TRUE_SAMPLES = 32


def main() -> None:
    """Print errors and costs, one column for each number of samples."""
    options = _options()
    arrays = load_face_model_arrays(options.face_model)
    print(f"{'samples a pixel and direction':<44}" + "".join(f"{samples:8d}" for samples in options.samples))
    for size in SIZES:
        for method in METHODS:
            for name, opening in OPENINGS.items():
                errors = _mean_errors(mouth_mesh(arrays, opening), size, options.samples, method, options.seeds)
                _print_row(f"error, {method}, {name}, {size} px", errors)
    for size in SIZES:
        for method in METHODS:
            _print_row(f"cost, {method}, {size} px", costs(arrays, size, options.samples, method, options.rounds))


def errors(mesh: Mesh, size: int, samples: list[int], method: EdgeMethod, seed: int) -> list[float]:
    """Error of the gradient for each number of samples."""
    scene = silhouette.make_scene(mesh, seed, size)
    moves, weights = silhouette.motions(scene.clip, seed, size), silhouette.place_weights(size)
    vertices, corners = mesh.triangles.unique(return_inverse=True)

    def mask(clip: Tensor, count: int) -> Tensor:
        return patch_mask(clip[:, vertices], corners, size, samples=count, method=method).permute(0, 2, 3, 1)

    def value(clip: Tensor) -> float:
        return float((mask(clip, TRUE_SAMPLES)[..., 0].double() * weights).sum())

    step = silhouette.STEP
    exact = [(value(scene.clip + step * move) - value(scene.clip - step * move)) / (2 * step) for move in moves]
    found = [
        silhouette.derivatives(partial(mask, count=count), scene.clip, weights[..., None], moves) for count in samples
    ]
    return [silhouette.relative_error(one, torch.tensor(exact)) for one in found]


def costs(arrays: FaceModelArrays, size: int, samples: list[int], method: EdgeMethod, rounds: int) -> list[float]:
    """Time of the mask for each number of samples, over that of a picture of the face."""
    mouth = mouth_mesh(arrays, OPENINGS["wide open"])
    opened = replace(arrays, mean_shape=mouth.vertices.numpy())
    scene = renderer.make_scene(opened, batch=16, size=size, subdivisions=1).with_channels(3)
    vertices, corners = mouth.triangles.unique(return_inverse=True)

    def draw(count: int) -> None:
        clip = scene.clip.clone().requires_grad_()
        mask = patch_mask(clip[:, vertices], corners, size, samples=count, method=method)
        mask.backward(torch.ones_like(mask))

    contenders: dict[str, Callable[[], None]] = {"face": lambda: renderer.render(scene, interpolate)}
    contenders |= {str(count): partial(draw, count) for count in samples}
    milliseconds = renderer.measure(contenders, rounds)
    return [milliseconds[str(count)] / milliseconds["face"] for count in samples]


def _mean_errors(mesh: Mesh, size: int, samples: list[int], method: EdgeMethod, seeds: list[int]) -> list[float]:
    by_seed = [errors(mesh, size, samples, method, seed) for seed in seeds]
    return [math.fsum(column) / len(seeds) for column in zip(*by_seed, strict=True)]


def _print_row(title: str, values: list[float]) -> None:
    print(f"  {title:<42}" + "".join(f"{value:8.3f}" for value in values), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--face-model", type=Path, required=True)
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 2, 3, 4, 6, 8], help="per pixel and direction")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--rounds", type=int, default=21)
    return parser.parse_args()


if __name__ == "__main__":
    main()
