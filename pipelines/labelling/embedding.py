"""The recogniser's features of every crop, computed once: the targets of the identity loss (Eq. 7)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from models.networks import recognizer
from pipelines.device import best_device
from pipelines.engines import IN_THIS_PROCESS
from pipelines.labelling import network_labels, precision
from pipelines.labelling.network_labels import labelled_batches
from pipelines.labelling.precision import resolved_precision
from pipelines.labelling.shard_map import LabelShard, map_shards
from pipelines.params import EmbedParams, LabellingParams
from pipelines.recognizer_file import load_recognizer
from pipelines.shard_memo import Item, source_digest
from pipelines.shards import ShardReader, sha256_of, write_rows
from pipelines.weights import WEIGHTS, read_description

LEAST_SIMILARITY = 0.999  # cosine between the features in bf16 and fp32, of every checked crop


def embed_crops(
    aligned: Path,
    weights: Path,
    output: Path,
    *,
    params: EmbedParams,
    memo: Path,
    engine: LabellingParams = IN_THIS_PROCESS,
) -> None:
    """Write a row with the features of each crop, of unit length, in 32 bits."""
    wanted = resolved_precision(params.precision)
    fingerprint = {
        "stage": "embed",
        "network": read_description(weights),
        "weights": sha256_of(weights / WEIGHTS),
        "precision": wanted,
        "code": source_digest(__file__, recognizer.__file__, network_labels.__file__, precision.__file__),
    }
    step = _Embed(aligned, weights, params.batch_size, wanted)
    rows = map_shards(step, {aligned: ()}, output, fingerprint=fingerprint, memo=memo, engine=engine)
    write_rows(output, rows)


@dataclass(frozen=True)
class _Embed:
    aligned: Path
    weights: Path
    batch_size: int
    precision: Literal["fp32", "bf16"]

    def prepare(self) -> LabelShard:
        network = load_recognizer(self.weights).to(best_device()).to(memory_format=torch.channels_last)
        reader = ShardReader(self.aligned)

        def label_shard(keys: Sequence[str]) -> Iterator[Item]:
            batches = labelled_batches(
                network, self.precision, _disagreement, reader=reader, keys=keys, batch_size=self.batch_size
            )
            for chunk, features in batches:
                for key, one in zip(chunk, features.cpu().numpy(), strict=True):
                    yield Item(key, {}, {"key": key, "features": one})

        return label_shard


def _disagreement(exact: Float[Tensor, "B D"], fast: Float[Tensor, "B D"]) -> str:
    similarity = float(torch.linalg.vecdot(exact, fast).min())
    return "" if similarity >= LEAST_SIMILARITY else f"cosine {similarity:.4f}, expected {LEAST_SIMILARITY} at least"
