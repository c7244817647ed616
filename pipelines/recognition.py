"""Makes the face recogniser, trained here or facenet-pytorch's: its weights, its features, how well it verifies."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from models.networks.recognizer import Recognizer, triplet_loss
from pipelines.dataset import Pictures, crops
from pipelines.device import best_device
from pipelines.params import RecognizerParams
from pipelines.photographs.splits import with_companions
from pipelines.recognizer_file import FEATURES
from pipelines.weights import save_weights

VERIFICATION = "verification.json"
_VGGFACE2 = "20180402-114759-vggface2.pt"
_ADDRESS = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/" + _VGGFACE2


def make_recognizer(aligned: Path, output: Path, params: RecognizerParams) -> None:
    """Train or load the recogniser; write its weights, the features of every crop, and its verification accuracy."""
    published = _published_weights()
    if params.weights == "vggface2" and not published.is_file():
        raise FileNotFoundError(
            f"{published}: missing; download {_ADDRESS} there, or set train_recognizer.weights: own"
        )
    if params.weights == "own" or not published.is_file():
        network, history = _train(aligned, params)
        provenance: dict[str, Any] = {"architecture": params.architecture, "weights": "own"}
        provenance |= {"embedding_size": params.embedding_size, "input_size": params.input_size}
    else:
        network, history = _load_published(published), pd.DataFrame({"step": [], "triplet": []})
        provenance = {
            "architecture": "inception_resnet_v1",
            "weights": "vggface2",
            "embedding_size": 512,
            "input_size": 160,
        }
    save_weights(output, network, provenance, history)
    rows = crops(aligned, *with_companions("train", "validation", "test"), "extra")
    features = _features(network.eval(), aligned, rows["key"].tolist())
    pd.DataFrame({"key": rows["key"], "features": list(features)}).to_parquet(output / FEATURES, index=False)
    held_out = (rows["split"].isin(with_companions("validation", "test")) & (rows["identity"] != "")).to_numpy()
    result = verification(features[held_out], rows["identity"][held_out].to_numpy())
    (output / VERIFICATION).write_text(json.dumps(result, indent=1) + "\n")


def verification(features: NDArray[np.float32], identities: NDArray[np.object_]) -> dict[str, float]:
    """Are two photographs of one person? Accuracy at the best threshold and area under the ROC curve, over all pairs.

    Accuracy weighs same and different pairs equally. NaN when there are no pairs of both kinds.
    """
    first, second = np.triu_indices(len(features), k=1)
    same = identities[first] == identities[second]
    if len(np.unique(same)) < 2:
        return {"accuracy": float("nan"), "auc": float("nan"), "n": len(same)}
    similarity = (features @ features.T)[first, second]
    false_positive, true_positive, _ = roc_curve(same, similarity)
    accuracy = float(np.max(true_positive + 1 - false_positive) / 2)
    return {"accuracy": accuracy, "auc": float(roc_auc_score(same, similarity)), "n": len(same)}


def _train(aligned: Path, params: RecognizerParams) -> tuple[Recognizer, pd.DataFrame]:
    torch.manual_seed(params.seed)
    rows = crops(aligned, *with_companions("train"))
    people = [group["key"].tolist() for _, group in rows[rows["identity"] != ""].groupby("identity") if len(group) > 1]
    if len(people) < 2:
        raise ValueError(
            "train_recognizer: the triplet loss needs at least two people with two photographs each; put one sub-folder"
            " per person, or place facenet-pytorch's weights in the cache (train_recognizer.weights: vggface2)"
        )
    network = Recognizer(params.architecture, params.embedding_size, params.input_size)
    network.to(best_device()).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate)
    generator = np.random.default_rng(params.seed)
    history = []
    for step in (progress := tqdm(range(params.iterations), "train recognizer")):
        pictures, identities = _balanced_batch(aligned, people, params, generator)
        loss = triplet_loss(network(pictures), identities.to(best_device()), params.margin)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        history.append({"step": step, "triplet": loss.item()})
        progress.set_postfix(triplet=f"{loss.item():.3f}")
    return network, pd.DataFrame(history)


def _balanced_batch(
    aligned: Path, people: list[list[str]], params: RecognizerParams, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """The same number of photographs of each of several people, half of the pictures mirrored; sRGB in 0..1."""
    count = min(params.people_per_batch, len(people))
    chosen = generator.choice(len(people), size=count, replace=False)
    keys, identities = [], []
    for person in chosen:
        photographs = people[person]
        size = min(params.photographs_per_person, len(photographs))
        keys += [photographs[index] for index in generator.choice(len(photographs), size=size, replace=False)]
        identities += [int(person)] * size
    dataset = Pictures(aligned, keys)
    pictures = torch.stack([dataset[index] for index in range(len(dataset))]).to(best_device()).float() / 255
    mirrored = torch.from_numpy(generator.random(len(pictures)) < 0.5).to(best_device())
    pictures = torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures)
    return pictures.contiguous(memory_format=torch.channels_last), torch.tensor(identities)


@torch.inference_mode()
def _features(network: Recognizer, aligned: Path, keys: list[str]) -> NDArray[np.float32]:
    loader = DataLoader(Pictures(aligned, keys), batch_size=64)
    network.to(best_device())
    parts = [network(pictures.to(best_device()).float() / 255).cpu() for pictures in tqdm(loader, "features")]
    return torch.cat(parts).numpy()


def _published_weights() -> Path:
    """Where facenet-pytorch itself keeps its download."""
    return Path(torch.hub.get_dir()).parent / "checkpoints" / _VGGFACE2


def _load_published(path: Path) -> Recognizer:
    network = Recognizer("inception_resnet_v1", 512, 160)
    state = torch.load(path, map_location="cpu", weights_only=True)
    features = {name: value for name, value in state.items() if not name.startswith("logits.")}
    network.network.load_state_dict(features)
    return network
