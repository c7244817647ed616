"""Builds, saves and loads the regressor, whatever trained it."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torchvision

from models.face_model import FaceModel
from models.networks.regressor import Regressor
from pipelines.params import RegressorParams
from pipelines.weights import load_weights, read_description, save_weights


def build_regressor(params: RegressorParams, model: FaceModel, pretrained: Path | None) -> Regressor:
    """A network in its initial state: random, ImageNet's weights, or the supervised warm start in `pretrained`."""
    network = Regressor(params.backbone, model.shape_size, model.expression_size, model.albedo_size)
    if params.initialization == "imagenet":
        _load_imagenet(network, params.backbone)
    elif params.initialization == "pretrained":
        if pretrained is None:
            raise ValueError("regressor.initialization is 'pretrained', but no warm start was handed over")
        load_weights(pretrained, network)
    return network


def save_regressor(
    folder: Path,
    network: Regressor,
    params: RegressorParams,
    history: pd.DataFrame,
    provenance: dict[str, Any],
) -> None:
    """Write a regressor with what is needed to build it again and where it came from."""
    description = {"backbone": params.backbone, "group_sizes": network.group_sizes[:3], "input_size": params.input_size}
    save_weights(folder, network, {**description, **provenance}, history)


def load_regressor(folder: Path, model: FaceModel) -> Regressor:
    """The trained network in `folder`, in evaluation mode; ValueError when it was trained for another face model."""
    description = read_description(folder)
    sizes = (model.shape_size, model.expression_size, model.albedo_size)
    if tuple(description["group_sizes"]) != sizes:
        raise ValueError(
            f"{folder}: trained for a face model with {description['group_sizes']} modes, this one has {list(sizes)}"
        )
    network = Regressor(description["backbone"], *sizes)
    load_weights(folder, network)
    return network.eval()


def _load_imagenet(network: Regressor, backbone: str) -> None:
    """Fill the backbone with torchvision's ImageNet weights from the torch hub cache."""
    weights = torchvision.models.get_model_weights(backbone).DEFAULT
    path = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no ImageNet weights for {backbone}; download {weights.url} there, or set regressor.initialization"
            " to 'scratch' or 'pretrained'"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    known = network.backbone.state_dict()
    network.backbone.load_state_dict({name: value for name, value in state.items() if name in known})
