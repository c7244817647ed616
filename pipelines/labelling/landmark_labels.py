"""68 landmarks of each crop: by face-alignment's FAN when its weights are there, else by a network trained here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from models.networks import heatmaps, landmark_network
from models.networks.landmark_network import LandmarkGuess, LandmarkNetwork
from pipelines.device import best_device
from pipelines.engines import IN_THIS_PROCESS
from pipelines.labelling import fan, network_labels, precision
from pipelines.labelling.network_labels import labelled_batches
from pipelines.labelling.precision import resolved_precision
from pipelines.labelling.shard_map import LabelShard, map_shards
from pipelines.params import LabellingParams, LandmarksParams
from pipelines.shard_memo import Item, source_digest
from pipelines.shards import ShardReader, sha256_of, write_rows
from pipelines.weights import WEIGHTS, load_weights, read_description

LARGEST_SHIFT_PX = 0.1  # of the landmarks' median, between bf16 and fp32


def load_landmark_network(folder: Path) -> LandmarkNetwork:
    """The trained landmark network, on the best device."""
    description = read_description(folder)
    network = LandmarkNetwork(description["encoder"], description["input_size"])
    load_weights(folder, network)
    return network.eval().to(best_device()).to(memory_format=torch.channels_last)


def label_landmarks(
    aligned: Path,
    weights: Path,
    output: Path,
    *,
    params: LandmarksParams,
    memo: Path,
    engine: LabellingParams = IN_THIS_PROCESS,
) -> None:
    """Write a row of landmarks for each crop; pixels of the crop."""
    use_fan = params.network == "fan" or (params.network == "auto" and fan.weights_file().is_file())
    wanted = "fp32" if use_fan else resolved_precision(params.precision)
    fingerprint = {
        "stage": "landmarks",
        "network": "fan" if use_fan else "own",
        "weights": sha256_of(fan.require_weights() if use_fan else weights / WEIGHTS),
        "precision": wanted,
        "code": source_digest(
            __file__,
            fan.__file__,
            heatmaps.__file__,
            landmark_network.__file__,
            network_labels.__file__,
            precision.__file__,
        ),
    }

    step = _LabelLandmarks(aligned, weights, use_fan, params.batch_size, wanted)
    rows = map_shards(step, {aligned: ()}, output, fingerprint=fingerprint, memo=memo, engine=engine)
    write_rows(output, rows)


@dataclass(frozen=True)
class _LabelLandmarks:
    aligned: Path
    weights: Path
    use_fan: bool
    batch_size: int
    precision: Literal["fp32", "bf16"]

    def prepare(self) -> LabelShard:
        network = fan.FanNetwork(best_device()) if self.use_fan else load_landmark_network(self.weights)
        reader = ShardReader(self.aligned)

        def label_shard(keys: Sequence[str]) -> Iterator[Item]:
            batches = labelled_batches(
                network.locate, self.precision, _disagreement, reader=reader, keys=keys, batch_size=self.batch_size
            )
            for chunk, guess in batches:
                yield from _labels(chunk, guess, "fan" if self.use_fan else "own")

        return label_shard


def _disagreement(exact: LandmarkGuess, fast: LandmarkGuess) -> str:
    shift = float(torch.linalg.vector_norm(exact.points - fast.points, dim=-1).median())
    return "" if shift <= LARGEST_SHIFT_PX else f"median shift {shift:.2f} px, expected {LARGEST_SHIFT_PX} px at most"


def _labels(keys: Sequence[str], guess: LandmarkGuess, network: str) -> Iterator[Item]:
    points, confidence = guess.points.cpu().flatten(1).tolist(), guess.confidence.cpu().tolist()
    for key, landmarks, certainty in zip(keys, points, confidence, strict=True):
        yield Item(key, {}, {"key": key, "landmarks": landmarks, "confidence": certainty, "network": network})
