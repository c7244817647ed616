import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.dataset import Pictures
from pipelines.params import RecognizerParams
from pipelines.recognition import VERIFICATION, make_recognizer, verification
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.weights import WEIGHTS, read_description
from tests.label_tree import smoke_params, write_aligned

COLOURS = {"anna": (230, 40, 40), "bela": (40, 230, 40), "cora": (40, 40, 230), "dino": (220, 220, 40)}


@pytest.fixture(autouse=True)
def _no_published_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache/hub"))


def _params(**changes: object) -> RecognizerParams:
    small = {"embedding_size": 8, "input_size": 64, "people_per_batch": 4, "photographs_per_person": 3}
    return smoke_params().train_recognizer.model_copy(update={"weights": "own", **small, **changes})


def _write_people(
    folder: Path, people: dict[str, tuple[int, int, int]], photographs: int = 3, held_out: tuple[str, ...] = ()
) -> None:
    """Every person has a colour of their own, in light that changes."""
    generator = np.random.default_rng(0)
    pictures, identities = {}, []
    for name, colour in people.items():
        for number in range(photographs):
            noise = generator.normal(0, 25, (64, 64, 3)) + generator.normal(0, 10)
            pictures[f"{name}-{number}"] = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            identities.append(name)
    splits = ["test" if name in held_out else "train" for name in identities]
    write_aligned(folder, pictures, identity=identities, split=splits)


def test_verification_of_two_clear_people() -> None:
    features = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    result = verification(features, np.array(["a", "a", "b", "b"], object))
    assert result == {"accuracy": 1.0, "auc": 1.0, "n": 6}


def test_verification_by_hand() -> None:
    # Similarities: same pair ab 0.6; different pairs ac 0.8 and bc 0.
    features = np.array([[1, 0], [0.6, 0.8], [0.8, -0.6]], np.float32)
    result = verification(features, np.array(["x", "x", "y"], object))
    # The best threshold lies between 0 and 0.6: it takes the same pair and one of two different ones.
    assert result["accuracy"] == pytest.approx((1 + 0.5) / 2)
    assert result["auc"] == pytest.approx(0.5)
    assert result["n"] == 3


@pytest.mark.parametrize("identities", [[], ["a"], ["a", "b"], ["a", "a"]])
def test_verification_needs_both_kinds_of_pairs(identities: list[str]) -> None:
    features = np.ones((len(identities), 2), np.float32)
    result = verification(features, np.array(identities, object))
    assert np.isnan(result["accuracy"]) and np.isnan(result["auc"])


@pytest.mark.parametrize("photographs", [1, 3])
def test_too_few_people_are_explained(tmp_path: Path, photographs: int) -> None:
    people = COLOURS if photographs == 1 else {"anna": COLOURS["anna"]}
    _write_people(tmp_path / "aligned", people, photographs)
    with pytest.raises(ValueError, match="at least two people with two photographs each"):
        make_recognizer(tmp_path / "aligned", tmp_path / "recognizer", _params())


def test_training_tells_people_apart(tmp_path: Path) -> None:
    _write_people(tmp_path / "aligned", COLOURS)
    make_recognizer(tmp_path / "aligned", tmp_path / "recognizer", _params(iterations=8, learning_rate=1e-3))
    history = np.genfromtxt(tmp_path / "recognizer/history.csv", delimiter=",", names=True)["triplet"]
    assert history[-3:].mean() < 0.5 * history[0]
    features = load_features(tmp_path / "recognizer")
    assert sorted(features) == sorted(f"{name}-{number}" for name in COLOURS for number in range(3))
    np.testing.assert_allclose([np.linalg.norm(f) for f in features.values()], 1, atol=1e-5)
    held_out = json.loads((tmp_path / "recognizer" / VERIFICATION).read_text())
    assert np.isnan(held_out["accuracy"])  # nobody was held out


def test_held_out_people_are_verified(tmp_path: Path) -> None:
    _write_people(tmp_path / "aligned", COLOURS, held_out=("cora", "dino"))
    make_recognizer(tmp_path / "aligned", tmp_path / "recognizer", _params(iterations=1))
    held_out = json.loads((tmp_path / "recognizer" / VERIFICATION).read_text())
    assert held_out["n"] == 15  # pairs of the six photographs of two people
    assert 0 <= held_out["accuracy"] <= 1


def test_the_same_seed_gives_the_same_bytes_and_the_saved_network_the_same_features(tmp_path: Path) -> None:
    _write_people(tmp_path / "aligned", COLOURS, 2)
    for name in ("first", "second"):
        make_recognizer(tmp_path / "aligned", tmp_path / name, _params(iterations=2))
    for name in (WEIGHTS, "features.parquet", "network.json", "history.csv", VERIFICATION):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    network = load_recognizer(tmp_path / "first")
    assert not network.training
    picture = Pictures(tmp_path / "aligned", ["anna-0"])[0]
    with torch.inference_mode():
        features = network(picture[None].float() / 255)[0].numpy()
    np.testing.assert_allclose(features, load_features(tmp_path / "first")["anna-0"], atol=1e-5)


def test_published_weights_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vggface2\.pt: missing; download https://"):
        make_recognizer(tmp_path, tmp_path / "recognizer", _params(weights="vggface2"))


def test_auto_takes_published_weights_when_they_are_there(tmp_path: Path) -> None:
    from facenet_pytorch import InceptionResnetV1

    torch.manual_seed(0)
    state = InceptionResnetV1(pretrained=None).state_dict() | {"logits.weight": torch.zeros(8631, 1)}
    published = tmp_path / "cache/checkpoints/20180402-114759-vggface2.pt"
    published.parent.mkdir(parents=True)
    torch.save(state, published)
    _write_people(tmp_path / "aligned", {"anna": COLOURS["anna"]}, 1)  # too few to train with
    make_recognizer(tmp_path / "aligned", tmp_path / "recognizer", _params(weights="auto"))
    assert read_description(tmp_path / "recognizer")["weights"] == "vggface2"
    assert load_features(tmp_path / "recognizer")["anna-0"].shape == (512,)
