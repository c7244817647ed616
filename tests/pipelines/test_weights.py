from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from pipelines.weights import HISTORY, NETWORK, WEIGHTS, load_weights, read_description, save_weights


def _network(width: int = 4) -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width))
    return network.to(memory_format=torch.channels_last)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    network = _network()
    save_weights(tmp_path / "new", network, {"seed": 1}, pd.DataFrame({"step": [0, 1], "total": [2.0, 1.0]}))
    again = _network()
    nn.init.zeros_(again[0].weight)
    load_weights(tmp_path / "new", again)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor)
    assert read_description(tmp_path / "new") == {"seed": 1}
    assert pd.read_csv(tmp_path / "new" / HISTORY)["total"].tolist() == [2.0, 1.0]


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        save_weights(tmp_path / name, _network(), {"b": 1, "a": 2}, pd.DataFrame({"step": [0]}))
    for name in (WEIGHTS, NETWORK, HISTORY):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_another_architecture_names_the_layers(tmp_path: Path) -> None:
    save_weights(tmp_path, _network(), {}, pd.DataFrame({"step": []}))
    with pytest.raises(RuntimeError, match=r"size mismatch for 0.weight"):
        load_weights(tmp_path, _network(5))


def test_missing_weights_name_the_stage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no trained network; run the stage that writes"):
        read_description(tmp_path)


def test_weights_that_are_not_numbers_survive(tmp_path: Path) -> None:
    network = _network()
    nn.init.constant_(network[0].weight, torch.nan)
    save_weights(tmp_path, network, {}, pd.DataFrame({"step": [0], "total": [float("nan")]}))
    load_weights(tmp_path, again := _network())
    assert again[0].weight.isnan().all()
