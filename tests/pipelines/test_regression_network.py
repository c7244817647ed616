import json
from pathlib import Path

import pandas as pd
import pytest
import torch
import torchvision

from models.face_model import FaceModel
from pipelines.params import RegressorParams
from pipelines.regression_network import build_regressor, load_regressor, save_regressor
from tests.label_tree import smoke_params
from tests.toy import toy_face_arrays


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel(toy_face_arrays())


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))


def _params(backbone: str, initialization: str) -> RegressorParams:
    paper = {"backbone": backbone, "feature_grid": 1, "landmark_points": False}
    changes = {**paper, "input_size": 64, "initialization": initialization}
    return smoke_params().regressor.model_copy(update=changes)


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v3_small", "convnext_tiny"])
def test_imagenet_weights_fill_the_whole_backbone(tmp_path: Path, model: FaceModel, backbone: str) -> None:
    torch.manual_seed(5)
    published = torchvision.models.get_model(backbone, weights=None).state_dict()
    address = torchvision.models.get_model_weights(backbone).DEFAULT.url
    (tmp_path / "checkpoints").mkdir()
    torch.save(published, tmp_path / "checkpoints" / address.rsplit("/", 1)[-1])
    network = build_regressor(_params(backbone, "imagenet"), model, None)
    for name, value in network.backbone.state_dict().items():  # what remains of a classifier's head too
        torch.testing.assert_close(value, published[name], msg=name)


def test_missing_imagenet_weights_are_asked_for(model: FaceModel) -> None:
    with pytest.raises(FileNotFoundError, match=r"no ImageNet weights for resnet18; download https://.*'scratch'"):
        build_regressor(_params("resnet18", "imagenet"), model, None)


def test_scratch_begins_from_the_seed_of_torch(model: FaceModel) -> None:
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        weights.append(build_regressor(_params("resnet18", "scratch"), model, None).head.weight)
    torch.testing.assert_close(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_warm_start_must_be_handed_over(model: FaceModel) -> None:
    with pytest.raises(ValueError, match="no warm start was handed over"):
        build_regressor(_params("resnet18", "pretrained"), model, None)


@pytest.mark.parametrize(("grid", "points"), [(1, False), (3, False), (1, True), (3, True)])
def test_what_was_saved_is_read_with_its_grid_and_points(
    tmp_path: Path, model: FaceModel, grid: int, points: bool
) -> None:
    params = _params("resnet18", "scratch").model_copy(update={"feature_grid": grid, "landmark_points": points})
    network = build_regressor(params, model, None).eval()
    save_regressor(tmp_path, network, params, pd.DataFrame({"step": []}), {})
    picture = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        for known, read in zip(network(picture), load_regressor(tmp_path, model)(picture), strict=True):
            torch.testing.assert_close(read, known, rtol=0, atol=0)


def test_a_network_from_before_there_were_cells_and_points_is_still_read(tmp_path: Path, model: FaceModel) -> None:
    params = _params("resnet18", "scratch")
    save_regressor(tmp_path, build_regressor(params, model, None), params, pd.DataFrame({"step": []}), {})
    description = json.loads((tmp_path / "network.json").read_text())
    del description["feature_grid"], description["landmark_points"]
    (tmp_path / "network.json").write_text(json.dumps(description))
    network = load_regressor(tmp_path, model)
    assert network.grid == 1 and network.points is None
