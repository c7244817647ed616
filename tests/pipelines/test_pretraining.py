from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from models.augmentation import Movements
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.networks.landmark_network import LandmarkNetwork
from models.networks.regressor import Regressor
from models.renderer import landmark_pixels, pose_face
from pipelines import pretraining
from pipelines.checkpoints import Checkpoints
from pipelines.params import PretrainParams, RegressorParams
from pipelines.pretraining import SyntheticCrops, pretrain_regressor
from pipelines.regression_network import build_regressor
from pipelines.shards import read_rows, write_rows
from pipelines.supervision import Supervision, Truth, TruthLosses
from pipelines.weights import WEIGHTS, read_description, save_weights
from tests.label_tree import CAMERA, SIZE, random_faces, smoke_params, write_label_tree
from tests.toy import toy_face_arrays


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    write_label_tree(root)
    torch.manual_seed(0)
    description = {"encoder": "resnet18", "input_size": 64}
    save_weights(root / "landmark_network", LandmarkNetwork(**description), description, pd.DataFrame({"step": []}))
    return root


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel(toy_face_arrays())


def _regressor(initialization: str = "pretrained", backbone: str = "mobilenet_v3_small") -> RegressorParams:
    points = backbone.startswith("resnet")
    changes = {"backbone": backbone, "landmark_points": points, "input_size": 64, "initialization": initialization}
    return smoke_params().regressor.model_copy(update=changes)


def _params(**changes: object) -> PretrainParams:
    return smoke_params().pretrain.model_copy(update={"batch_size": 6, **changes})


def _pretrain(root: Path, output: Path, params: PretrainParams, **regressor: str) -> pd.DataFrame:
    pretrain_regressor(
        root / "face_model.h5",
        root / "labels/aligned",
        root / "truth",
        root / "landmark_network",
        output,
        camera=CAMERA,
        crop_size=SIZE,
        regressor=_regressor(**regressor),
        params=params,
        memo=root / "memo",
    )
    return pd.read_csv(output / "history.csv")


def test_crops_come_with_their_truth(root: Path, model: FaceModel) -> None:
    dataset = SyntheticCrops(root / "labels/aligned", root / "truth")
    true = random_faces(6)
    expected = landmark_pixels(model, pose_face(model, true, CAMERA), SIZE)
    picture, known = dataset[3]
    assert picture.shape == (3, SIZE, SIZE) and picture.dtype == torch.uint8
    torch.testing.assert_close(known.landmarks, expected[3], atol=1e-4, rtol=1e-5)
    for name, value in known.coefficients._asdict().items():
        if name not in ("translation", "scale"):
            torch.testing.assert_close(value, getattr(true, name)[3], atol=1e-4, rtol=1e-5, msg=name)


def test_landmarks_are_moved_into_the_crop(root: Path, tmp_path: Path) -> None:
    rows = read_rows(root / "labels/aligned")
    half = [np.array([0.5, 0, 10, 0, 0.5, 20])] * len(rows)
    moved = tmp_path / "aligned"
    moved.mkdir()
    for path in (root / "labels/aligned").iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    write_rows(moved, rows.assign(crop_from_photograph=half))
    before = SyntheticCrops(root / "labels/aligned", root / "truth")[0][1].landmarks
    after = SyntheticCrops(moved, root / "truth")[0][1].landmarks
    torch.testing.assert_close(after, before / 2 + torch.tensor([10.0, 20.0]))


def test_several_faces_of_one_photograph_share_its_truth(root: Path, tmp_path: Path) -> None:
    rows = read_rows(root / "labels/aligned")
    moved = tmp_path / "aligned"
    moved.mkdir()
    for path in (root / "labels/aligned").iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    write_rows(moved, rows.assign(photograph="face-2"))
    dataset = SyntheticCrops(moved, root / "truth")
    torch.testing.assert_close(dataset[0][1].coefficients.shape, dataset[5][1].coefficients.shape)


def test_an_interrupted_warm_start_goes_on_and_ends_with_the_same_bytes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = _params(iterations=6, checkpoint_every=2)
    _pretrain(root, tmp_path / "whole", params)
    save = Checkpoints.save

    def interrupted(self: Checkpoints, state: Mapping[str, Any]) -> None:
        save(self, state)
        if state["iterations"] == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _pretrain(root, tmp_path / "stopped", params)
    _pretrain(root, tmp_path / "stopped", params)
    for file in (WEIGHTS, "history.csv", "network.json"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "stopped" / file).read_bytes()
    assert not (root / "memo/pretraining").exists()


def test_a_short_training_lowers_every_term_but_the_highlight(root: Path, tmp_path: Path) -> None:
    history = _pretrain(root, tmp_path, _params(iterations=30, learning_rate=2e-3))
    first, last = history.iloc[:3].mean(), history.iloc[-3:].mean()
    assert last["total"] < 0.8 * first["total"]
    assert last["vertices"] < first["vertices"] and last["landmarks"] < first["landmarks"]
    assert history["step"].tolist() == list(range(30))
    assert history.columns.tolist() == ["step", "total", *TruthLosses._fields]
    assert read_description(tmp_path)["supervised"] is True


def test_the_same_seed_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        _pretrain(root, tmp_path / name, _params(iterations=2))
    _pretrain(root, tmp_path / "other", _params(iterations=2, seed=99))
    first, second, other = ((tmp_path / name / WEIGHTS).read_bytes() for name in ("first", "second", "other"))
    assert first == second != other


@pytest.mark.parametrize(("precision", "inside"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_only_the_backbone_computes_in_the_precision_of_the_warm_start(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, inside: torch.dtype
) -> None:
    computed: dict[str, set[torch.dtype]] = {"backbone": set(), "cells": set()}
    seen = []
    forward = Supervision.forward

    def watched(self: Supervision, predicted: Coefficients, known: Truth, movements: Movements) -> TruthLosses:
        losses = forward(self, predicted, known, movements)
        seen.append({group.dtype for group in predicted} | {loss.dtype for loss in losses})
        return losses

    def built(*arguments: Any) -> Regressor:
        network = build_regressor(*arguments)
        for name, dtypes in computed.items():
            for layer in network.get_submodule(name).modules():
                if isinstance(layer, torch.nn.Conv2d):
                    layer.register_forward_hook(lambda _layer, _given, made, dtypes=dtypes: dtypes.add(made.dtype))
        return network

    monkeypatch.setattr(Supervision, "forward", watched)
    monkeypatch.setattr(pretraining, "build_regressor", built)
    _pretrain(root, tmp_path, _params(iterations=1, precision=precision))
    assert computed == {"backbone": {inside}, "cells": {torch.float32}}
    assert seen == [{torch.float32}]


def test_a_checkpoint_of_another_precision_is_not_gone_on_with() -> None:
    first, second = (
        pretraining._description(CAMERA, SIZE, _regressor(), _params(precision=precision))
        for precision in ("fp32", "bf16")
    )
    assert first["precision"] == "fp32" and second["precision"] == "bf16"


def test_photographs_without_truth_are_explained(root: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "aligned", read_rows(root / "labels/aligned"))
    write_rows(tmp_path / "truth", read_rows(root / "truth")[:0])
    with pytest.raises(ValueError, match=r"no synthetic photographs to learn from; set photographs\.source: synthetic"):
        SyntheticCrops(tmp_path / "aligned", tmp_path / "truth")


def test_another_initialization_needs_no_truth(root: Path, tmp_path: Path) -> None:
    (tmp_path / "face_model.h5").write_bytes((root / "face_model.h5").read_bytes())
    history = _pretrain(tmp_path, tmp_path / "output", _params(), initialization="imagenet")
    assert history.empty and "total" in history.columns
    assert read_description(tmp_path / "output")["supervised"] is False


@pytest.mark.parametrize(
    ("encoder", "backbone", "begins"),
    [("auto", "resnet18", "landmarks"), ("auto", "mobilenet_v3_small", "scratch"), ("scratch", "resnet18", "scratch")],
)
def test_the_warm_start_begins_with_the_landmark_network_of_its_architecture(
    root: Path, tmp_path: Path, encoder: str, backbone: str, begins: str
) -> None:
    _pretrain(root, tmp_path, _params(iterations=1, learning_rate=1e-12, encoder=encoder), backbone=backbone)
    assert read_description(tmp_path)["initialization"] == begins
    learned, began = load_file(tmp_path / WEIGHTS), load_file(root / "landmark_network" / WEIGHTS)
    if backbone == "resnet18":
        kept = {"backbone.layer4.1.conv2": "encoder.layer4.1.conv2", "points.decoder.head": "decoder.head"}
        for name, known in kept.items():
            same = torch.allclose(learned[f"{name}.weight"], began[f"{known}.weight"])
            assert same == (begins == "landmarks")


def test_the_spread_of_the_points_is_that_of_the_photographs(root: Path, tmp_path: Path) -> None:
    _pretrain(root, tmp_path, _params(iterations=1), backbone="resnet18")
    known = SyntheticCrops(root / "labels/aligned", root / "truth").truth.landmarks / SIZE
    torch.testing.assert_close(load_file(tmp_path / WEIGHTS)["points.mean"], known.flatten(1).mean(dim=0))
