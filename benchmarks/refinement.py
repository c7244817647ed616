"""What `predict.refine` gains: errors of the network's answers before and after gradient steps on their coefficients.

    OMP_WAIT_POLICY=passive python -m benchmarks.refinement --data data --photographs 32 --steps 100

`data` is the folder of a finished run; its parameters are those of a profile of `params.yaml`. The photographs are
synthetic ones of the test split, evenly spread, so that the truth is known: the refinement sees their labels alone, the
errors below the first three are distances to the truth. `better` counts the photographs whose number improved. Another
learning rate is best chosen with `--split validation`.
"""

import argparse
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import default_collate

from benchmarks.training import profile_params
from models.camera import Camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.renderer import full_picture, landmark_pixels, pose_face, render
from models.scores import box_size, pixel_error, truth_errors
from models.segments import SEGMENT_INDEX
from pipelines.dataset import Batch, LabelledCrops, prepare, resized
from pipelines.face_model_file import load_face_model
from pipelines.labelling.mouth import mean_gap
from pipelines.labelling.truth import evenly_spread, true_segments
from pipelines.objective import Objective
from pipelines.params import Params
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.refinement import refine
from pipelines.regression_network import load_regressor
from pipelines.shards import ShardReader
from pipelines.truth import true_coefficients, true_landmarks
from pipelines.truth_rows import rows_with_truth
from pipelines.weights import read_description

HIGHER_IS_BETTER = "mouth IoU, open"
Measures = Mapping[str, Float[Tensor, "B"]]


class Known(NamedTuple):
    """Photographs with their labels and their truth."""

    batch: Batch
    coefficients: Coefficients
    landmarks: Float[Tensor, "B 68 2"]  # pixels of the crop
    mouth: Bool[Tensor, "B H W"]  # the inner one; empty where it is closed


class Refinements(NamedTuple):
    """Measures of photographs, and the seconds that each of them took."""

    before: pd.DataFrame
    after: pd.DataFrame
    network_seconds: float
    refine_seconds: float


def main() -> None:
    """Print a table of means before and after."""
    options = _options()
    params = profile_params(options.profile)
    rate = options.learning_rate or params.predict.refine_learning_rate
    rows = chosen_rows(options.data, options.split, options.photographs)
    found = refinements(options.data, rows, params, steps=options.steps, rate=rate, batch_size=options.batch)
    print(
        f"{torch.get_num_threads()} threads; {len(rows)} photographs ({options.split}), batch {options.batch},"
        f" {options.steps} steps, learning rate {rate:g}"
    )
    print_table(found)


def chosen_rows(data: Path, split: str, photographs: int) -> pd.DataFrame:
    """Rows of synthetic photographs of a split, evenly spread, with their truth."""
    rows = rows_with_truth(data / "labels/aligned", data / "truth", split)
    if rows.empty:
        raise SystemExit(f"{data}: expected synthetic photographs with truth in the split {split!r}, found none")
    return rows.iloc[evenly_spread(len(rows), photographs)]


def refinements(
    data: Path, rows: pd.DataFrame, params: Params, *, steps: int, rate: float, batch_size: int
) -> Refinements:
    """Refine the answers of the full variant's network on these photographs; one row of measures for each."""
    weights, recognizer = data / "weights/regressor/full", data / "weights/recognizer"
    model, size = load_face_model(data / "face_model.h5"), params.camera.crop_size
    camera = Camera(math.radians(params.camera.field_of_view_degrees), params.camera.distance_mm)
    objective = Objective(model, load_recognizer(recognizer), camera, size, params.train, "full")
    network, input_size = load_regressor(weights, model), int(read_description(weights)["input_size"])
    features = load_features(data / "labels/features")
    before, after, seconds = [], [], np.zeros(2)
    for start in range(0, len(rows), batch_size):
        known = load_known(data, rows.iloc[start : start + batch_size], features, params.mouth.minimum_opening_px)
        times = [time.perf_counter()]
        with torch.inference_mode():
            answer = network(resized(known.batch.image, input_size))
        times.append(time.perf_counter())
        refined = refine(answer, known.batch, objective, steps=steps, learning_rate=rate)
        times.append(time.perf_counter())
        seconds += np.diff(times)
        totals = (refined.before, refined.after)
        for frames, found, total in zip((before, after), (answer, refined.coefficients), totals, strict=True):
            numbers = {"total loss": total, **measures(objective, found, known)}
            frames.append(pd.DataFrame({name: value.numpy() for name, value in numbers.items()}))
    return Refinements(pd.concat(before), pd.concat(after), *(seconds / len(rows)).tolist())


def load_known(
    data: Path, rows: pd.DataFrame, features: dict[str, NDArray[np.float32]], minimum_opening: float
) -> Known:
    """Labels and truth of these photographs; lips less than `minimum_opening` pixels apart are a closed mouth."""
    crops, truth = LabelledCrops(data / "labels", rows["key"].tolist(), features), ShardReader(data / "truth")
    batch: Batch = default_collate([crops[index] for index in range(len(crops))])
    size = batch.image.shape[-1]
    segments = np.stack([true_segments(truth, row, size=size, crop_size=size) for _, row in rows.iterrows()])
    mouths, landmarks = segments == SEGMENT_INDEX["inner_mouth"], true_landmarks(rows)
    pairs = zip(mouths, landmarks.numpy(), strict=True)
    open_ones = np.array([mean_gap(mouth, points) >= minimum_opening for mouth, points in pairs])
    return Known(batch, true_coefficients(rows), landmarks, torch.from_numpy(mouths & open_ones[:, None, None]))


@torch.inference_mode()
def measures(objective: Objective, coefficients: Coefficients, known: Known) -> Measures:
    """Errors of each photograph, and the overlap of open mouths; NaN for a closed one."""
    model, size = objective.model, objective.crop_size
    face = pose_face(model, coefficients, objective.camera)
    rendering = render(model, face, size, mouth_samples=objective.params.mouth_samples)
    prepared = prepare(known.batch, size)
    points = landmark_pixels(model, face, size)
    return {
        "colour error (Table 1)": pixel_error(
            prepared.image, full_picture(rendering), prepared.face * rendering.coverage
        ),
        "landmarks, labelled (% of box)": normalised_error(points, known.batch.landmarks),
        "landmarks (% of box)": normalised_error(points, known.landmarks),
        HIGHER_IS_BETTER: overlap(rendering.mouth[:, 0] > 0.5, known.mouth),
        **_truth_measures(model, coefficients, known.coefficients),
    }


def normalised_error(points: Float[Tensor, "B 68 2"], wanted: Float[Tensor, "B 68 2"]) -> Float[Tensor, "B"]:
    """Mean distance of the landmarks in % of the root of the area of the wanted ones' box."""
    return 100 * torch.linalg.vector_norm(points - wanted, dim=-1).mean(dim=-1) / box_size(wanted)


def overlap(mask: Bool[Tensor, "B H W"], wanted: Bool[Tensor, "B H W"]) -> Float[Tensor, "B"]:
    """Intersection over union of masks; NaN where nothing is wanted."""
    common, either = ((mask & wanted).sum(dim=(1, 2)), (mask | wanted).sum(dim=(1, 2)))
    return torch.where(wanted.any(dim=2).any(dim=1), common / either, torch.nan)


def print_table(found: Refinements) -> None:
    """One line for each measure: means before and after, and how many photographs improved."""
    print(f"{'':<32}{'before':>10}{'after':>10}{'better':>12}")
    for line in table_lines(found.before, found.after):
        print(line)
    print(f"{'seconds a photograph':<32}{found.network_seconds:10.3g}{found.refine_seconds:+10.3g}")


def table_lines(before: pd.DataFrame, after: pd.DataFrame) -> Iterable[str]:
    """Means over the photographs that have a number, and the share of them that improved."""
    for name in before.columns:
        gain = (before[name] - after[name]) * (-1 if name == HIGHER_IS_BETTER else 1)
        better = f"{(gain > 0).sum()} of {gain.notna().sum()}"
        yield f"{name:<32}{before[name].mean():10.4g}{after[name].mean():10.4g}{better:>12}"


def _truth_measures(model: FaceModel, found: Coefficients, true: Coefficients) -> Measures:
    errors = truth_errors(model, found, true, ~model.region_mask("inner_mouth"))
    units = {"light_direction": " (°)", "pose": " (°)", "expression": " (mm)", "identity": " (mm)"}
    return {f"{name.replace('_', ' ')}{units.get(name, '')}": value for name, value in errors._asdict().items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--profile", default="default", help="whose parameters `data` was made with")
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--photographs", type=int, default=32)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, help="instead of predict.refine_learning_rate")
    parser.add_argument("--batch", type=int, default=16)
    return parser.parse_args()


if __name__ == "__main__":
    main()
