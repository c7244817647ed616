"""Speed and error of the registration beside trimesh's, on the same pair in one run.

    OMP_WAIT_POLICY=passive python -m benchmarks.registration --face-model data/face_model.h5

The mean face with 28 000 vertices, moved by a similarity, is registered to 100 000 points of the unmoved one, which
have 0.1 mm of noise. Ours is what `evaluate` does: point to plane with isotropic scale, from coarse to fine, its search
trees included; the normals of the scan are at hand, as those of a scanner's mesh. trimesh's is `registration.icp` with
scale and without reflection. Both may take 30 steps. The error is the mean distance of the registered vertices to where
they were; times are medians, both sides measured in turn.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from benchmarks.face_meshes import face_mesh
from benchmarks.goals import Line, at_least, at_most, print_lines, without_goal
from models.face_model import FaceModelArrays
from models.icp import Ball, IcpSettings, Matcher, Similarity, registered
from models.surface import Surface, surface_from_mesh
from pipelines.face_model_file import load_face_model_arrays

SETTINGS = IcpSettings(iterations=30, kept_fraction=0.95)
_NOISE_MM = 0.1
_START = Similarity(1.0, np.eye(3), np.zeros(3))
_EVERYWHERE_MM = 1.0e4


class Pair(NamedTuple):
    """A mesh that was moved away from where its scan is."""

    mesh: Surface
    scan: Surface
    scan_from_mesh: Similarity  # the truth

    def error_mm(self, found: Similarity) -> float:
        """Mean distance of the vertices to where they should be."""
        wanted = self.scan_from_mesh.moved(self.mesh.points)
        return float(np.linalg.norm(found.moved(self.mesh.points) - wanted, axis=1).mean())


def main() -> None:
    """Print goals beside measurements."""
    options = _options()
    pair = make_pair(load_face_model_arrays(options.face_model), options.vertices, options.points)
    print(f"{len(pair.mesh.points)} vertices, {len(pair.scan.points)} points")
    print_lines(lines(pair, options.rounds))


def make_pair(arrays: FaceModelArrays, vertex_count: int, point_count: int) -> Pair:
    """The mean face, 6 % smaller and turned by a few degrees, and a noisy scan of it."""
    mesh = face_mesh(arrays, vertex_count)
    vertices, triangles = mesh.vertices.double().numpy(), mesh.triangles.numpy()
    whole = trimesh.Trimesh(vertices, triangles, process=False)
    points, faces = trimesh.sample.sample_surface(whole, point_count, seed=1)
    noise = np.random.default_rng(0).normal(scale=_NOISE_MM, size=(point_count, 3))
    scan = Surface(np.asarray(points) + noise, np.asarray(whole.face_normals[faces]))
    rotation = Rotation.from_euler("xyz", [4, -5, 3], degrees=True).as_matrix()
    truth = Similarity(1 / 0.94, rotation, np.array([3.0, -2.0, 4.0]))
    return Pair(surface_from_mesh(truth.moved_back(vertices), triangles), scan, truth)


def lines(pair: Pair, rounds: int) -> list[Line]:
    """Times, errors and their ratios."""
    contenders = {"ours": lambda: ours(pair), "trimesh": lambda: trimeshs(pair)}
    milliseconds = measure(contenders, rounds)
    found, other = ours(pair), trimeshs(pair)
    error, other_error = pair.error_mm(found), pair.error_mm(other)
    return [
        without_goal("ours, ms", milliseconds["ours"]),
        without_goal("trimesh, ms", milliseconds["trimesh"]),
        at_least("time of trimesh / ours", 15, milliseconds["trimesh"] / milliseconds["ours"]),
        at_most("ours, mm", 0.01, error),
        without_goal("trimesh, mm", other_error),
        at_most("error of ours / trimesh", 1 / 8, error / other_error),
        at_most("scale of ours, relative error", 1.0e-4, abs(found.scale / pair.scan_from_mesh.scale - 1)),
    ]


def ours(pair: Pair) -> Similarity:
    """The similarity that `models.icp` finds."""
    everywhere = Ball(pair.scan.points.mean(axis=0), _EVERYWHERE_MM)
    return registered(Matcher(pair.mesh, pair.scan, everywhere, from_scan=False), _START, SETTINGS)


def trimeshs(pair: Pair) -> Similarity:
    """The similarity that trimesh finds."""
    matrix = trimesh.registration.icp(
        pair.mesh.points,
        pair.scan.points,
        threshold=1.0e-9,
        max_iterations=SETTINGS.iterations,
        reflection=False,
        scale=True,
    )[0]
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    return Similarity(scale, np.asarray(matrix[:3, :3] / scale), np.asarray(matrix[:3, 3]))


def measure(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, taken in turn so that a busy moment hits both."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            samples[name].append((time.perf_counter() - start) * 1000)
    return {name: statistics.median(values) for name, values in samples.items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--face-model", type=Path, required=True)
    parser.add_argument("--vertices", type=int, default=28_000)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
