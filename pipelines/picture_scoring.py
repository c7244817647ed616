"""Photographs beside their renderings: the colour error of Table 1, and other measures of likeness."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.camera import Camera
from models.face_model import FaceModel
from models.networks.recognizer import Recognizer
from models.picture_measures import identity_distances, masked_psnr, masked_ssim
from models.renderer import full_picture, pose_face, render
from models.scores import pixel_error
from models.segments import FACE_SEGMENTS, SEGMENT_INDEX
from pipelines.dataset import Pictures, crops
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.scoring import OK, MethodPredictions, finite_batches, with_diverged
from pipelines.shards import ShardReader, decode

COLOUR_ERROR, SQUARED_COLOUR_ERROR = "test", "test_squared"  # the columns of Table 1; the second gives its spread
PICTURE_MEASURES = ("psnr", "ssim", "identity")


class PhotographLabels(NamedTuple):
    """Where the labelled test photographs lie, and the recogniser with its features of them."""

    folder: Path
    recognizer: Recognizer
    features: dict[str, NDArray[np.float32]]


def load_photograph_labels(labels: Path, recognizer: Path) -> PhotographLabels:
    """The labels in a folder with the recogniser that made their features."""
    tested = set(crops(labels / "aligned", "test")["key"])
    features = {key: feature for key, feature in load_features(labels / "features").items() if key in tested}
    return PhotographLabels(labels, load_recognizer(recognizer), features)


def picture_scores(
    predictions: MethodPredictions, labels: PhotographLabels, *, model: FaceModel, camera: Camera, crop_size: int
) -> pd.DataFrame:
    """How unlike each crop of the test split and its full rendering are; the column is the measure.

    Colours, PSNR and SSIM are compared where both show the face. The recogniser sees the rendering on black, as it does
    during the training.
    """
    table = predictions.coefficients("test")
    table = table[table["key"].isin(crops(labels.folder / "aligned", "test")["key"])]  # without the extra photographs
    segments = ShardReader(labels.folder / "segments")
    rows = []
    for keys, coefficients in finite_batches(table, f"pictures {predictions.method}"):
        rendering = render(model, pose_face(model, coefficients, camera), crop_size)
        pictures = Pictures(labels.folder / "aligned", keys)
        images = torch.stack([pictures[index] for index in range(len(keys))]).float() / 255
        mask = torch.stack([_face_mask(segments, key) for key in keys]) * rendering.coverage
        features = torch.from_numpy(np.stack([labels.features[key] for key in keys]))
        full = full_picture(rendering)
        measured = {
            COLOUR_ERROR: pixel_error(images, full, mask),
            SQUARED_COLOUR_ERROR: pixel_error(images, full, mask, power=2),
            "psnr": masked_psnr(images, full, mask),
            "ssim": masked_ssim(images, full, mask),
            "identity": identity_distances(features, labels.recognizer(full)),
        }
        for name, values in measured.items():
            rows += [(predictions.method, name, key, v, OK) for key, v in zip(keys, values.tolist(), strict=True)]
    columns = [COLOUR_ERROR, SQUARED_COLOUR_ERROR, *PICTURE_MEASURES]
    return with_diverged(rows, table, predictions.method, columns=columns)


def _face_mask(segments: ShardReader, key: str) -> Tensor:
    numbers = [SEGMENT_INDEX[name] for name in FACE_SEGMENTS]
    return torch.from_numpy(np.isin(decode(segments.read(key, "png")), numbers)).float()[None]
