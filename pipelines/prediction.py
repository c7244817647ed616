"""Methods on benchmarks: coefficients of every crop, and the averaged mesh of every sample."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from models.camera import Camera
from models.coefficients import Coefficients, CoefficientSizes
from models.face_model import FaceModel
from models.networks.regressor import neutral_coefficients
from models.pose_fit import fitted_pose
from pipelines.benchmarks.common import BENCHMARKS, Sample, read_samples
from pipelines.coefficients_file import coefficient_rows, coefficients_from_rows, write_coefficients
from pipelines.dataset import Pictures, crops, landmarks_by_key, resized
from pipelines.device import best_device
from pipelines.face_model_file import load_face_model
from pipelines.methods import COMPARED_METHODS, MEAN_FACE
from pipelines.params import PredictParams
from pipelines.regression_network import load_regressor
from pipelines.weights import read_description

TEST = "test"
TEST_SPLITS = ("test", "extra")
_LIGHT_BEHIND = (0.0, 0.0, -1000.0)  # mm, camera frame: no highlight on what the camera sees

Predictor = Callable[["CropSet", Sequence[str]], Coefficients]


class CropSet(NamedTuple):
    """Aligned crops to predict on, with the folder of their labelled landmarks."""

    name: str
    aligned: Path
    landmarks: Path
    keys: tuple[str, ...]


def predict_method(
    method: str,
    output: Path,
    *,
    face_model: Path,
    weights: Path | None,
    labels: Path,
    benchmarks: Path,
    camera: Camera,
    crop_size: int,
    params: PredictParams,
) -> None:
    """Write the coefficients and the meshes of one method on all benchmarks that its tables need."""
    model = load_face_model(face_model)
    if method == MEAN_FACE:
        predictor = mean_face_predictor(model, camera=camera, crop_size=crop_size, iterations=params.pose_iterations)
    elif weights is None:
        raise ValueError(f"{method}: expected --weights, the folder of the trained regressor")
    else:
        predictor = regressor_predictor(weights, model)
    samples = {name: _samples(benchmarks / name, name, method) for name in BENCHMARKS}
    sets = [_test_set(labels), *(_crop_set(benchmarks / name, name, found) for name, found in samples.items())]
    shutil.rmtree(output, ignore_errors=True)
    table = pd.concat([_predicted(one, predictor, params.batch_size, method) for one in sets], ignore_index=True)
    write_coefficients(output / "coefficients.parquet", table)
    for name, found in samples.items():
        with_scan = [sample for sample in found if sample.scan and sample.keys]
        _write_meshes(output / "meshes" / name, with_scan, table[table["benchmark"] == name], model)


def _samples(folder: Path, name: str, method: str) -> list[Sample]:
    """The samples that the tables of a method need: all, or those of the ablation."""
    samples = read_samples(folder)
    if method in COMPARED_METHODS:
        return samples
    return [sample for sample in samples if sample.ablation and name == "facescape"]


def _test_set(labels: Path) -> CropSet:
    keys = tuple(crops(labels / "aligned", *TEST_SPLITS)["key"])
    return CropSet(TEST, labels / "aligned", labels / "landmarks", keys)


def _crop_set(folder: Path, name: str, samples: Sequence[Sample]) -> CropSet:
    keys = tuple(sorted({key for sample in samples for key in sample.keys}))
    return CropSet(name, folder / "aligned", folder / "landmarks", keys)


def _predicted(crop_set: CropSet, predictor: Predictor, batch_size: int, method: str) -> pd.DataFrame:
    keys = crop_set.keys
    chunks = [keys[start : start + batch_size] for start in range(0, len(keys), batch_size)]
    parts = []
    for chunk in tqdm(chunks, desc=f"predict {method} {crop_set.name}", unit="batch"):
        with torch.inference_mode():
            parts.append(coefficient_rows(crop_set.name, chunk, predictor(crop_set, chunk)))
    columns = ["benchmark", "key", *Coefficients._fields]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def regressor_predictor(weights: Path, model: FaceModel) -> Predictor:
    """Coefficients by a trained regressor; NaN when its training diverged."""
    device = best_device()
    network = load_regressor(weights, model).to(device)
    description = read_description(weights)

    def predict(crop_set: CropSet, keys: Sequence[str]) -> Coefficients:
        pictures = Pictures(crop_set.aligned, keys)
        images = resized(torch.stack([pictures[index] for index in range(len(keys))]), description["input_size"])
        found = network(images.to(device))
        if description.get("diverged"):  # whatever its last weights say, it has no result
            return Coefficients(*(torch.full_like(group, torch.nan) for group in found))
        return Coefficients(*(group.cpu() for group in found))

    return predict


def mean_face_predictor(model: FaceModel, *, camera: Camera, crop_size: int, iterations: int) -> Predictor:
    """The method to beat: average shape and albedo, no expression, white light without highlight, pose by landmarks."""
    sizes = CoefficientSizes(model.shape_size, model.expression_size, model.albedo_size)
    mean_landmarks = model.landmarks(model.mean_shape[None])[0]
    loaded: dict[Path, dict[str, NDArray[np.float32]]] = {}

    def predict(crop_set: CropSet, keys: Sequence[str]) -> Coefficients:
        by_key = loaded.setdefault(crop_set.landmarks, landmarks_by_key(crop_set.landmarks))
        labelled = torch.from_numpy(np.stack([by_key[key] for key in keys]))
        pose = fitted_pose(mean_landmarks, labelled, camera=camera, size=(crop_size, crop_size), iterations=iterations)
        neutral = neutral_coefficients(sizes, len(keys))
        behind = neutral.light_position.new_tensor(_LIGHT_BEHIND).expand_as(neutral.light_position)
        return neutral._replace(**pose._asdict(), light_position=behind)

    return predict


def _write_meshes(folder: Path, samples: Sequence[Sample], table: pd.DataFrame, model: FaceModel) -> None:
    """Write the mean of the meshes of each sample's crops, mm, frame of the face model, as `<sample>.npz`.

    The expression stays in: as in the paper, what is averaged are the resulting meshes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = table.set_index("key")
    for sample in tqdm(samples, desc=f"meshes {folder.name}", unit="sample", disable=not samples):
        vertices = mean_mesh(model, coefficients_from_rows(rows.loc[list(sample.keys)]))
        np.savez(folder / f"{sample.sample}.npz", vertices=vertices.numpy())


def mean_mesh(model: FaceModel, coefficients: Coefficients) -> Tensor:
    """Mean over faces of their vertices (V, 3), mm; identity and expression, without pose."""
    with torch.inference_mode():
        return model.vertices(coefficients.shape, coefficients.expression).mean(dim=0)
