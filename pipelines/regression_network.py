"""Builds, saves and loads the regressor, whatever trained it."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torchvision

from models.coefficients import CoefficientSizes
from models.face_model import FaceModel
from models.networks.regressor import Regressor
from pipelines.params import RegressorParams
from pipelines.weights import load_weights, read_description, save_weights


def build_regressor(params: RegressorParams, model: FaceModel, pretrained: Path | None) -> Regressor:
    """A network in its initial state: random, ImageNet's weights, or the supervised warm start in `pretrained`."""
    shininess = model.region_count if params.shininess == "region" else 1
    sizes = CoefficientSizes(
        model.shape_size, model.expression_size, model.albedo_size, params.specular_lights, shininess
    )
    network = Regressor(params.backbone, sizes, params.feature_grid, params.landmark_points)
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
    description = {
        "backbone": params.backbone,
        "feature_grid": network.grid,
        "landmark_points": network.points is not None,
        "sizes": network.sizes._asdict(),
        "input_size": params.input_size,
    }
    save_weights(folder, network, {**description, **provenance}, history)


def load_regressor(folder: Path, model: FaceModel) -> Regressor:
    """The trained network in `folder`, in evaluation mode; ValueError when it was trained for another face model."""
    sizes = CoefficientSizes(**read_description(folder)["sizes"])
    modes = (model.shape_size, model.expression_size, model.albedo_size)
    if sizes[:3] != modes:
        raise ValueError(f"{folder}: trained for a face model with {list(sizes[:3])} modes, this one has {list(modes)}")
    return read_regressor(folder)


def read_regressor(folder: Path) -> Regressor:
    """The trained network in `folder`, in evaluation mode, whichever face model it was trained for."""
    description = read_description(folder)
    sizes = CoefficientSizes(**description["sizes"])
    # Networks that were registered before there were cells, or points, do not say.
    grid, points = description.get("feature_grid", 1), description.get("landmark_points", False)
    network = Regressor(description["backbone"], sizes, grid, points)
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
