"""Features of every crop: those of the network, once; in bf16 only while they agree."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from models.networks.recognizer import Recognizer
from pipelines.dataset import Pictures
from pipelines.labelling import embedding
from pipelines.labelling.embedding import embed_crops
from pipelines.params import EmbedParams
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.shards import read_rows
from pipelines.weights import save_weights
from tests.recognizer_tree import COLOURS, write_people

ARCHITECTURE = "shufflenet_v2_x0_5"
KEYS = [f"{name}-{number}" for name in COLOURS for number in range(3)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_people(tmp_path, COLOURS)  # three shards of four crops
    _write_weights(tmp_path)
    return tmp_path


def _write_weights(root: Path, seed: int = 0, input_size: int = 64) -> None:
    torch.manual_seed(seed)
    description = {"architecture": ARCHITECTURE, "embedding_size": 8, "input_size": input_size}
    save_weights(root / "weights", Recognizer(ARCHITECTURE, 8, input_size), description, pd.DataFrame({"step": []}))


def _embed(root: Path, *, batch_size: int = 3, precision: str = "fp32") -> dict[str, np.ndarray]:
    params = EmbedParams(batch_size=batch_size, precision=precision)
    embed_crops(root / "aligned", root / "weights", root / "features", params=params, memo=root / "memo")
    return load_features(root / "features")


def _made(root: Path) -> int:
    return len(list((root / "memo").iterdir()))


def test_the_features_are_those_of_the_network(root: Path) -> None:
    found = _embed(root)
    assert list(found) == KEYS
    pictures = torch.stack([Pictures(root / "aligned", KEYS)[index] for index in range(len(KEYS))])
    with torch.inference_mode():
        expected = load_recognizer(root / "weights")(pictures.float() / 255).numpy()
    np.testing.assert_allclose(np.stack(list(found.values())), expected, atol=1e-5)
    assert read_rows(root / "features")["features"][0].dtype == np.float32


def test_only_a_new_shard_is_embedded(root: Path) -> None:
    before = _embed(root)
    assert _made(root) == 3
    write_people(root, {**COLOURS, "emil": (40, 220, 220)}, held_out=("anna",))
    after = _embed(root, batch_size=64)
    assert _made(root) == 4
    assert set(after) - set(before) == {f"emil-{number}" for number in range(3)}
    assert all(np.array_equal(after[key], before[key]) for key in before)


@pytest.mark.parametrize("change", [{"seed": 1}, {"input_size": 80}])
def test_another_network_embeds_everything_anew(root: Path, change: dict[str, int]) -> None:
    before = _embed(root)
    _write_weights(root, **change)
    after = _embed(root)
    assert _made(root) == 6
    assert not any(np.array_equal(after[key], before[key]) for key in KEYS)


def test_features_in_bf16_are_those_of_fp32_or_replaced_by_them(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    exact, fast = (np.stack(list(_embed(root, precision=name).values())) for name in ("fp32", "bf16"))
    similarity = (exact * fast).sum(axis=1)
    assert (similarity > 0.999).all() and not np.array_equal(exact, fast)
    monkeypatch.setattr(embedding, "LEAST_SIMILARITY", 1.1)
    for entry in (root / "memo").iterdir():
        entry.rename(root / entry.name)
    with caplog.at_level(logging.WARNING):
        replaced = np.stack(list(_embed(root, precision="bf16").values()))
    assert np.array_equal(replaced, exact) and "expected 1.1 at least" in caplog.text


def test_the_network_sees_channels_last_pictures_and_no_gradient(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Recognizer.forward

    def forward(self: Recognizer, image: Tensor) -> Tensor:
        assert not self.training and not torch.is_grad_enabled()
        assert image.is_contiguous(memory_format=torch.channels_last)
        assert self.network.conv1[0].weight.is_contiguous(memory_format=torch.channels_last)
        return original(self, image)

    monkeypatch.setattr(Recognizer, "forward", forward)
    _embed(root)
