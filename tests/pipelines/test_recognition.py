import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from pipelines import recognition
from pipelines.checkpoints import Checkpoints
from pipelines.people_batches import Drawn, PeopleCrops
from pipelines.recognition import make_recognizer
from pipelines.recognizer_file import load_recognizer
from pipelines.reporting.curves import network_curves
from pipelines.weights import WEIGHTS, read_description
from tests.label_tree import write_masks
from tests.recognizer_tree import COLOURS, recognizer_params, train_toy_recognizer, write_people

FILES = (WEIGHTS, "network.json", "history.csv")


@pytest.fixture(autouse=True)
def _no_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache/hub"))


def _same_files(first: Path, second: Path) -> bool:
    return all((first / name).read_bytes() == (second / name).read_bytes() for name in FILES)


@pytest.mark.parametrize("photographs", [1, 3])
def test_too_few_people_are_explained(tmp_path: Path, photographs: int) -> None:
    people = COLOURS if photographs == 1 else {"anna": COLOURS["anna"]}
    write_people(tmp_path, people, photographs)
    with pytest.raises(ValueError, match="at least two people with two photographs each"):
        train_toy_recognizer(tmp_path, tmp_path / "recognizer")


def test_training_tells_people_apart_and_says_how_many_triplets_teach(tmp_path: Path) -> None:
    write_people(tmp_path, COLOURS)
    train_toy_recognizer(tmp_path, tmp_path / "recognizer", iterations=12, learning_rate=1e-3, face_only_fraction=0.0)
    history = pd.read_csv(tmp_path / "recognizer/history.csv")
    assert history.columns.tolist() == ["step", "triplet", "active", "semi_hard"]
    assert history["step"].tolist() == list(range(12))
    assert history["triplet"].iloc[-3:].mean() < 0.5 * history["triplet"].iloc[0]
    assert history["active"].iloc[-3:].mean() < history["active"].iloc[0]
    assert (history["semi_hard"] <= history["active"]).all() and history["active"].between(0, 1).all()


def test_faces_without_surroundings_must_be_seen_to_be_recognized(tmp_path: Path) -> None:
    """The need of the deviation: who has seen whole crops alone takes faces without surroundings for someone else."""
    generator = np.random.default_rng(3)
    people = {f"p{number}": tuple(generator.integers(30, 226, 3).tolist()) for number in range(8)}
    write_people(tmp_path, people)
    crops = PeopleCrops(tmp_path / "aligned", tmp_path / "segments", [[f"{name}-0"] for name in people])
    whole, alone = (
        torch.stack([crops[Drawn(person, 0, False, face_only)][0] for person in range(8)]) / 255
        for face_only in (False, True)
    )
    recognized = {}
    changes = {"architecture": "resnet18", "people_per_batch": 8, "iterations": 40, "learning_rate": 1e-3}
    for fraction in (0.0, 0.5):
        train_toy_recognizer(tmp_path, tmp_path / str(fraction), **changes, face_only_fraction=fraction)
        network = load_recognizer(tmp_path / str(fraction))
        with torch.inference_mode():
            nearest = (network(alone) @ network(whole).T).argmax(dim=1)
        recognized[fraction] = (nearest == torch.arange(8)).sum().item()
    assert recognized[0.5] >= 7 and recognized[0.0] <= 4


def test_the_same_seed_gives_the_same_bytes_whoever_decodes(tmp_path: Path) -> None:
    write_people(tmp_path, COLOURS, 2)
    for name, changes in (("here", {}), ("ahead", {"workers": 1}), ("other", {"seed": 99})):
        train_toy_recognizer(tmp_path, tmp_path / name, iterations=2, **changes)
    assert _same_files(tmp_path / "here", tmp_path / "ahead")
    assert not _same_files(tmp_path / "here", tmp_path / "other")
    assert not load_recognizer(tmp_path / "here").training


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    write_people(tmp_path, COLOURS)
    changes = {"iterations": 24, "checkpoint_every": 4}
    command = [sys.executable, "-m", "tests.recognizer_tree", str(tmp_path), str(tmp_path / "killed")]
    process = subprocess.Popen([*command, json.dumps(changes)], stderr=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob("memo/recognizer/*/state.pt")):
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not (tmp_path / "killed").exists()
    path = next(tmp_path.glob("memo/recognizer/*/state.pt"))
    done = torch.load(path, weights_only=True)["iterations"]
    assert 0 < done < 24
    steps = _count_steps(tmp_path / "killed", tmp_path, changes)
    assert steps == 24 - done
    assert not (tmp_path / "memo/recognizer").exists()
    assert _count_steps(tmp_path / "whole", tmp_path, changes) == 24
    assert _same_files(tmp_path / "whole", tmp_path / "killed")


def _count_steps(output: Path, root: Path, changes: dict[str, Any]) -> int:
    """Train, and say how many iterations that took."""
    counted: list[int] = []
    original = recognition._require_finite

    def count(network: Any, loss: Tensor, step: int) -> None:
        counted.append(step)
        original(network, loss, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recognition, "_require_finite", count)
        train_toy_recognizer(root, output, **changes)
    return len(counted)


def test_a_checkpoint_is_for_the_same_training_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_people(tmp_path, COLOURS)
    monkeypatch.setattr(Checkpoints, "clear", lambda self: None)
    train_toy_recognizer(tmp_path, tmp_path / "first", iterations=2, checkpoint_every=1)
    finished = {"iterations": 2, "checkpoint_every": 2}  # how often a state is kept changes no result
    assert _count_steps(tmp_path / "again", tmp_path, finished) == 0
    assert _same_files(tmp_path / "first", tmp_path / "again")
    keys = [f"{name}-{number}" for name in COLOURS for number in range(3)]
    write_masks(tmp_path / "segments", keys, np.zeros((len(keys), 64, 64)))  # the crops stay
    assert _count_steps(tmp_path / "faceless", tmp_path, finished) == 2
    assert _count_steps(tmp_path / "other", tmp_path, {**finished, "margin": 0.3}) == 2


def test_who_decodes_and_how_often_a_state_is_kept_belongs_to_no_fingerprint() -> None:
    plain = recognition._dependencies(recognizer_params())
    assert recognition._dependencies(recognizer_params(workers=3, checkpoint_every=7)) == plain
    assert recognition._dependencies(recognizer_params(learning_rate=0.5)) != plain
    assert recognition._dependencies(recognizer_params(precision="bf16")) != plain


@pytest.mark.parametrize("spoilt", ["loss", "gradient"])
def test_what_is_not_finite_is_said_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str) -> None:
    write_people(tmp_path, COLOURS)
    original = recognition._triplets

    def spoil(*arguments: Any) -> Any:
        triplets = original(*arguments)
        bad = triplets.loss * math.nan if spoilt == "loss" else triplets.loss.detach() + _Spoil.apply(triplets.loss)
        return triplets._replace(loss=bad)

    monkeypatch.setattr(recognition, "_triplets", spoil)
    message = rf"the {spoilt} is not finite \(nan\) at iteration 0; lower train_recognizer\.learning_rate"
    with pytest.raises(ValueError, match=message):
        train_toy_recognizer(tmp_path, tmp_path / "recognizer", iterations=2, checkpoint_every=1)
    assert not (tmp_path / "recognizer").exists() and not (tmp_path / "memo").exists()


class _Spoil(torch.autograd.Function):
    """Nothing forward, NaN backward."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        return torch.zeros_like(value)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient * math.nan


@pytest.mark.parametrize(("precision", "inside"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_only_the_network_computes_in_the_precision_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, inside: torch.dtype
) -> None:
    write_people(tmp_path, COLOURS, 2)
    seen: list[tuple[torch.dtype, torch.dtype]] = []
    original = recognition.triplet_loss

    def loss(features: Tensor, identities: Tensor, margin: float) -> Any:
        layer = torch.nn.functional.linear(features, features)  # would be bf16 where autocast is on
        seen.append((features.dtype, layer.dtype))
        return original(features, identities, margin)

    class Seen(recognition.Recognizer):
        def forward(self, image: Tensor) -> Tensor:
            assert image.is_contiguous(memory_format=torch.channels_last)
            assert self.network.conv1(torch.zeros(1, 3, 8, 8)).dtype == inside
            return super().forward(image)

    monkeypatch.setattr(recognition, "triplet_loss", loss)
    monkeypatch.setattr(recognition, "Recognizer", Seen)
    train_toy_recognizer(tmp_path, tmp_path / "recognizer", iterations=1, precision=precision)
    assert seen == [(torch.float32, torch.float32)]


def test_published_weights_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vggface2\.pt: missing; download https://"):
        train_toy_recognizer(tmp_path, tmp_path / "recognizer", weights="vggface2")


def test_auto_takes_published_weights_when_they_are_there(tmp_path: Path) -> None:
    from facenet_pytorch import InceptionResnetV1

    torch.manual_seed(0)
    state = InceptionResnetV1(pretrained=None).state_dict() | {"logits.weight": torch.zeros(8631, 1)}
    published = tmp_path / "cache/checkpoints/20180402-114759-vggface2.pt"
    published.parent.mkdir(parents=True)
    torch.save(state, published)
    params = recognizer_params(weights="auto")
    make_recognizer(
        tmp_path / "no crops are read",
        tmp_path / "nor segments",
        tmp_path / "recognizer",
        params,
        memo=tmp_path / "memo",
    )
    assert read_description(tmp_path / "recognizer")["weights"] == "vggface2"
    with torch.inference_mode():
        assert load_recognizer(tmp_path / "recognizer")(torch.rand(1, 3, 64, 64)).shape == (1, 512)
    network_curves(tmp_path / "curves.png", tmp_path)  # a history without a row
    assert np.asarray((tmp_path / "curves.png").stat().st_size) > 0
