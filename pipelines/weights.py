"""Trained weights on disk: a folder with `weights.safetensors`, `network.json`, `history.csv` (curves)."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load_file, save_file
from torch import nn

WEIGHTS = "weights.safetensors"
NETWORK = "network.json"
HISTORY = "history.csv"
EXAMPLE = "example.jpg"  # what the network takes, an aligned crop; for the networks that MLflow registers


def save_weights(folder: Path, network: nn.Module, description: dict[str, Any], history: pd.DataFrame) -> None:
    """Write a trained network; `description` holds whatever is needed to build it again and where it came from."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}, folder / WEIGHTS)
    (folder / NETWORK).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
    history.to_csv(folder / HISTORY, index=False)


def read_description(folder: Path) -> dict[str, Any]:
    """What `save_weights` was told about the network; FileNotFoundError when there is none."""
    path = folder / NETWORK
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no trained network; run the stage that writes {folder}")
    return dict(json.loads(path.read_text()))


def load_weights(folder: Path, network: nn.Module) -> None:
    """Fill `network` with the weights of `folder`; RuntimeError naming the layers when the architecture differs."""
    network.load_state_dict(load_file(folder / WEIGHTS))
