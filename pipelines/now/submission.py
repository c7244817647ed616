"""Predictions for the NoW benchmark in the layout of its submissions: a neutral mesh and seven points a photograph."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from models.face_model import FaceModel
from models.segments import SEGMENT_INDEX
from pipelines.benchmarks.build import write_photographs
from pipelines.benchmarks.common import write_omitted
from pipelines.benchmarks.raw import Omission, RawSample, in_words
from pipelines.benchmarks.scans import write_mesh
from pipelines.face_model_file import load_face_model
from pipelines.labelling.align import align_photographs
from pipelines.now.reader import LANDMARKS, ImageSet, read_now
from pipelines.params import AlignParams
from pipelines.prediction import CropSet
from pipelines.shards import read_rows
from pipelines.variant_prediction import regressor_predictor

_log = logging.getLogger(__name__)


class SubmissionInputs(NamedTuple):
    """Where a submission comes from, and how its photographs are aligned."""

    now: Path
    face_model: Path
    weights: Path
    memo: Path
    align: AlignParams
    crop_size: int
    batch_size: int


def write_submission(inputs: SubmissionInputs, image_set: ImageSet, output: Path) -> list[RawSample]:
    """Write `<subject>/<challenge>/<picture>.ply` and `.npy` for each photograph; returns the samples that have them.

    The meshes are the identities without expression and pose, mm, as the benchmark asks, and without the inside of the
    mouth, which no scan shows. A photograph without a usable face has no mesh and is named, also in `omitted.json`.
    """
    if output.exists() and any(output.iterdir()):
        raise ValueError(f"{output}: is not empty; a submission needs a folder of its own")
    reading = read_now(inputs.now, image_set=image_set)
    model = load_face_model(inputs.face_model)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as work:
        reasons = _align(reading.samples, Path(work), inputs)
        found = [sample for sample in reading.samples if not reasons[sample.photographs[0].key]]
        unusable = [sample for sample in reading.samples if reasons[sample.photographs[0].key]]
        for sample, vertices in _neutral_faces(found, Path(work) / "aligned", inputs, model):
            _write_face(output / sample.name, vertices, model)
    omitted = reading.omitted + [Omission(one.name, reasons[one.photographs[0].key]) for one in unusable]
    write_omitted(output, {one.what: one.reason for one in omitted})
    if omitted:
        listed = len(found) + len(omitted)
        _log.warning("now: %s. A submission needs all of the %d photographs", in_words(omitted), listed)
    return found


def _align(samples: list[RawSample], work: Path, inputs: SubmissionInputs) -> dict[str, str]:
    """Write the crops; returns why a photograph has none, by its key, "" when it has one."""
    write_photographs(samples, work / "photographs", synthetic=False, root=inputs.now)
    one_face = inputs.align.model_copy(update={"faces": "largest"})
    align_photographs(
        work / "photographs", work / "aligned", params=one_face, crop_size=inputs.crop_size, memo=inputs.memo
    )
    rows = read_rows(work / "aligned")
    return {
        str(key): "" if status == "kept" else str(reason)
        for key, status, reason in zip(rows["key"], rows["status"], rows["reason"], strict=True)
    }


def _neutral_faces(
    samples: list[RawSample], aligned: Path, inputs: SubmissionInputs, model: FaceModel
) -> Iterator[tuple[RawSample, NDArray[np.float64]]]:
    predictor = regressor_predictor("full", inputs.weights, model)  # a highlight or none: the same shape
    crops = CropSet("now", aligned, aligned, tuple(sample.photographs[0].key for sample in samples))
    for first in tqdm(range(0, len(samples), inputs.batch_size), desc="predict now", unit="batch"):
        chunk = samples[first : first + inputs.batch_size]
        shape = predictor(crops, crops.keys[first : first + inputs.batch_size]).shape
        if not torch.isfinite(shape).all():
            raise ValueError(f"{inputs.weights}: its training diverged, there is nothing to submit")
        with torch.inference_mode():
            vertices = model.vertices(shape, torch.zeros(len(shape), model.expression_size))
        yield from zip(chunk, vertices.double().numpy(), strict=True)


def _write_face(path: Path, vertices: NDArray[np.float64], model: FaceModel) -> None:
    inside = model.arrays.regions == SEGMENT_INDEX["inner_mouth"]
    triangles = model.arrays.triangles[~inside[model.arrays.triangles].any(axis=1)]
    used, renumbered = np.unique(triangles, return_inverse=True)
    write_mesh(path.with_name(f"{path.name}.ply"), vertices[used], renumbered.reshape(-1, 3))
    np.save(path.with_name(f"{path.name}.npy"), vertices[model.arrays.landmark_vertices[list(LANDMARKS)]])
