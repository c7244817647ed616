"""Loads the face recogniser and the features of the crops, whatever made them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.networks.recognizer import Recognizer
from pipelines.shards import read_rows
from pipelines.weights import load_weights, read_description


def load_recognizer(folder: Path) -> Recognizer:
    """The recogniser in `folder`, in evaluation mode."""
    description = read_description(folder)
    network = Recognizer(*(description[name] for name in ("architecture", "embedding_size", "input_size")))
    load_weights(folder, network)
    return network.eval()


def load_features(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The recogniser's features of every crop, as the stage embed wrote them."""
    rows = read_rows(folder)
    return {key: np.array(f, np.float32) for key, f in zip(rows["key"], rows["features"], strict=True)}
