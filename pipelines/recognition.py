"""Makes the face recogniser: FaceNet trained here with the triplet loss, or facenet-pytorch's weights.

Deviation: FaceNet learns from whole crops. Of ours a share shows nothing but the face, because Eq. 7 compares
photographs with renderings, which have neither hair nor background. A network that has never seen such a picture takes
it for another person's, and the identity loss changes the face to make up for that.
"""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from models.networks.recognizer import Recognizer, Triplets, triplet_loss
from pipelines.checkpoints import Checkpoints, Resumable, training_fingerprint
from pipelines.dataset import crops
from pipelines.device import best_device
from pipelines.labelling.precision import resolved_precision
from pipelines.params import RecognizerParams
from pipelines.people_batches import people_batches
from pipelines.photographs.splits import with_companions
from pipelines.weights import save_weights

_VGGFACE2 = "20180402-114759-vggface2.pt"
_ADDRESS = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/" + _VGGFACE2
_CURVES = ("step", "triplet", "active", "semi_hard")


def make_recognizer(aligned: Path, segments: Path, output: Path, params: RecognizerParams, *, memo: Path) -> None:
    """Train or load the recogniser and write it; a training that was killed goes on from its checkpoint in `memo`."""
    published = _published_weights()
    if params.weights == "vggface2" and not published.is_file():
        raise FileNotFoundError(
            f"{published}: missing; download {_ADDRESS} there, or set train_recognizer.weights: own"
        )
    if params.weights == "own" or not published.is_file():
        _train_and_save(aligned, segments, output, params, memo)
        return
    description = _description("vggface2", "inception_resnet_v1", 512, 160)
    save_weights(output, _load_published(published), description, pd.DataFrame(columns=_CURVES))


def _train_and_save(aligned: Path, segments: Path, output: Path, params: RecognizerParams, memo: Path) -> None:
    torch.manual_seed(params.seed)
    network = Recognizer(params.architecture, params.embedding_size, params.input_size)
    checkpoints = Checkpoints(
        memo / "recognizer",
        training_fingerprint([aligned, segments], _dependencies(params)),
        every=params.checkpoint_every,
    )
    history = _train(network, aligned, segments, params, checkpoints)
    description = _description("own", params.architecture, params.embedding_size, params.input_size)
    save_weights(output, network, description, pd.DataFrame(history, columns=_CURVES))
    checkpoints.clear()


def _dependencies(params: RecognizerParams) -> dict[str, Any]:
    """What a checkpoint must agree with, besides the crops."""
    values = params.model_dump(exclude={"checkpoint_every", "workers"})
    return {"params": values, "precision": resolved_precision(params.precision)}


def _description(weights: str, architecture: str, embedding_size: int, input_size: int) -> dict[str, Any]:
    return {
        "architecture": architecture,
        "weights": weights,
        "embedding_size": embedding_size,
        "input_size": input_size,
    }


def _train(
    network: Recognizer, aligned: Path, segments: Path, params: RecognizerParams, checkpoints: Checkpoints
) -> list[dict[str, float]]:
    people = _people(aligned)
    network.to(best_device()).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate, fused=True)
    resumable = Resumable({"network": network, "optimizer": optimizer}, {})
    state = checkpoints.load()
    history = [] if state is None else resumable.restore(state)
    batches = people_batches(aligned, segments, people, params, first=len(history))
    progress = tqdm(batches, "train recognizer", initial=len(history), total=params.iterations)
    for step, (pictures, identities) in enumerate(progress, start=len(history)):
        triplets = _triplets(network, pictures, identities, params)
        optimizer.zero_grad(set_to_none=True)
        triplets.loss.backward()
        _require_finite(network, triplets.loss, step)
        optimizer.step()
        names = zip(_CURVES[1:], triplets, strict=True)
        history.append({"step": step, **{name: value.item() for name, value in names}})
        progress.set_postfix(triplet=f"{history[-1]['triplet']:.3f}", active=f"{history[-1]['active']:.2f}")
        if checkpoints.due(step):
            checkpoints.save(resumable.state(step + 1, history))
    return history


def _people(aligned: Path) -> list[list[str]]:
    """The keys of the training crops of everyone who has two or more."""
    rows = crops(aligned, *with_companions("train"))
    people = [group["key"].tolist() for _, group in rows[rows["identity"] != ""].groupby("identity") if len(group) > 1]
    if len(people) < 2:
        raise ValueError(
            "train_recognizer: the triplet loss needs at least two people with two photographs each; put one sub-folder"
            " per person, or place facenet-pytorch's weights in the cache (train_recognizer.weights: vggface2)"
        )
    return people


def _triplets(network: Recognizer, pictures: Tensor, identities: Tensor, params: RecognizerParams) -> Triplets:
    """The loss of a batch of uint8 crops; only the network computes in `params.precision`."""
    device = best_device()
    images = pictures.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last).float() / 255
    with torch.autocast(device, torch.bfloat16, enabled=resolved_precision(params.precision) == "bf16"):
        features = network(images)
    return triplet_loss(features, identities.to(device), params.margin)


def _require_finite(network: Recognizer, loss: Tensor, step: int) -> None:
    """ValueError when the loss or its gradient is not finite, before the weights are spoilt."""
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    for name, value in (("loss", loss.item()), ("gradient", torch.nn.utils.get_total_norm(gradients).item())):
        if not math.isfinite(value):
            raise ValueError(
                f"train_recognizer: the {name} is not finite ({value}) at iteration {step};"
                " lower train_recognizer.learning_rate, or set train_recognizer.precision: fp32"
            )


def _published_weights() -> Path:
    """Where facenet-pytorch itself keeps its download."""
    return Path(torch.hub.get_dir()).parent / "checkpoints" / _VGGFACE2


def _load_published(path: Path) -> Recognizer:
    network = Recognizer("inception_resnet_v1", 512, 160)
    state = torch.load(path, map_location="cpu", weights_only=True)
    features = {name: value for name, value in state.items() if not name.startswith("logits.")}
    network.network.load_state_dict(features)
    return network
