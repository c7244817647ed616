"""Any method on the benchmarks: coefficients of every crop, and the averaged mesh of every sample."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from models.coefficients import Coefficients
from models.face_model import FaceModel
from pipelines.benchmarks.common import BENCHMARKS, Sample, read_samples
from pipelines.coefficients_file import coefficient_rows, coefficients_from_rows, write_coefficients
from pipelines.dataset import crops
from pipelines.methods import COMPARED_METHODS

TEST = "test"
TEST_SPLITS = ("test", "extra")

Predictor = Callable[["CropSet", Sequence[str]], Coefficients]


class CropSet(NamedTuple):
    """Aligned crops to predict on, with the folder of their labelled landmarks."""

    name: str
    aligned: Path
    landmarks: Path
    keys: tuple[str, ...]


def write_predictions(
    method: str,
    predictor: Predictor,
    output: Path,
    *,
    model: FaceModel,
    labels: Path,
    benchmarks: Path,
    batch_size: int,
) -> None:
    """Write the coefficients and the meshes of one method on all benchmarks that its tables need."""
    samples = {name: _samples(benchmarks / name, name, method) for name in BENCHMARKS}
    sets = [_test_set(labels), *(_crop_set(benchmarks / name, name, found) for name, found in samples.items())]
    shutil.rmtree(output, ignore_errors=True)
    table = pd.concat([_predicted(one, predictor, batch_size, method) for one in sets], ignore_index=True)
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
    progress = tqdm(chunks, desc=f"predict {method} {crop_set.name}", unit="batch")
    parts = [coefficient_rows(crop_set.name, chunk, predictor(crop_set, chunk)) for chunk in progress]
    columns = ["benchmark", "key", *Coefficients._fields]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


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
