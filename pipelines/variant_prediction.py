"""A trained variant of the regressor on every benchmark; its answers to labelled photographs can be refined."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.data import default_collate

from models.camera import Camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from pipelines.dataset import Batch, LabelledCrops, Pictures, resized
from pipelines.device import best_device
from pipelines.face_model_file import load_face_model
from pipelines.objective import Objective
from pipelines.params import PredictParams, TrainParams, Variant
from pipelines.prediction import TEST, CropSet, Predictor, write_predictions
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.refinement import refine
from pipelines.regression_network import load_regressor
from pipelines.variants import modelled
from pipelines.weights import read_description

_log = logging.getLogger(__name__)


class VariantInputs(NamedTuple):
    """Where the prediction of a variant reads."""

    face_model: Path
    weights: Path
    labels: Path
    recognizer: Path
    benchmarks: Path


def predict_variant(
    variant: Variant,
    inputs: VariantInputs,
    output: Path,
    *,
    camera: Camera,
    crop_size: int,
    train: TrainParams,
    params: PredictParams,
) -> None:
    """Write the coefficients and the meshes of one variant on all benchmarks that its tables need.

    With `params.refine` steps, the answers to the test split and to the extra photographs are refined under the losses
    of the variant's own training; a training that diverged has nothing to refine.
    """
    model = load_face_model(inputs.face_model)
    predictor = regressor_predictor(variant, inputs.weights, model)
    if params.refine and not read_description(inputs.weights).get("diverged"):
        posing, recognizer = load_face_model(inputs.face_model), load_recognizer(inputs.recognizer)
        objective = Objective(posing, recognizer, camera, crop_size, train, variant).to(best_device())
        predictor = refined_predictor(predictor, objective, inputs.labels, params)
    write_predictions(
        variant,
        predictor,
        output,
        model=model,
        labels=inputs.labels,
        benchmarks=inputs.benchmarks,
        batch_size=params.batch_size,
    )


def regressor_predictor(variant: Variant, weights: Path, model: FaceModel) -> Predictor:
    """Coefficients by the trained regressor of a variant; NaN when its training diverged."""
    device = best_device()
    network = load_regressor(weights, model).to(device)
    description = read_description(weights)

    @torch.inference_mode()
    def predict(crop_set: CropSet, keys: Sequence[str]) -> Coefficients:
        pictures = Pictures(crop_set.aligned, keys)
        images = resized(torch.stack([pictures[index] for index in range(len(keys))]), description["input_size"])
        found = modelled(network(images.to(device)), variant)
        if description.get("diverged"):  # whatever its last weights say, it has no result
            return Coefficients(*(torch.full_like(group, torch.nan) for group in found))
        return Coefficients(*(group.cpu() for group in found))

    return predict


def refined_predictor(predictor: Predictor, objective: Objective, labels: Path, params: PredictParams) -> Predictor:
    """The answers of `predictor`, refined where the crop has every label that the losses need.

    The benchmarks' crops have landmarks alone; their answers stay as they are.
    """
    features = load_features(labels / "features")

    def predict(crop_set: CropSet, keys: Sequence[str]) -> Coefficients:
        found = predictor(crop_set, keys)
        if crop_set.name != TEST:
            return found
        device = objective.importance.device
        crops = LabelledCrops(labels, keys, features)
        batch = Batch(*(part.to(device) for part in default_collate([crops[index] for index in range(len(keys))])))
        start = Coefficients(*(group.to(device) for group in found))
        refined = refine(start, batch, objective, steps=params.refine, learning_rate=params.refine_learning_rate)
        left = [key for key, improved in zip(keys, refined.improved.tolist(), strict=True) if not improved]
        if left:
            said = "refining did not lower the loss of %d of %d photographs, which keep the network's answer: %s"
            _log.warning(said, len(left), len(keys), ", ".join(left))
        return Coefficients(*(group.cpu() for group in refined.coefficients))

    return predict
