"""Labels of crops by a network, batch by batch, in the precision that a shard allows."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pipelines.device import best_device
from pipelines.labelling.precision import checked_precision, in_precision
from pipelines.shards import ShardReader, decode

CHECKED_CROPS = 8  # the first of each shard, whatever the batch size, so that the batch size changes no label

_Labels = TypeVar("_Labels")


def labelled_batches(
    label: Callable[[Tensor], _Labels],
    precision: Literal["fp32", "bf16"],
    complaint: Callable[[_Labels, _Labels], str],
    *,
    reader: ShardReader,
    keys: Sequence[str],
    batch_size: int,
) -> Iterator[tuple[Sequence[str], _Labels]]:
    """Keys and labels of the crops of a shard; in bf16 where it is wanted and `complaint` accepts its first crops."""
    _, first = next(crop_batches(reader, keys, CHECKED_CROPS))
    chosen = checked_precision(precision, label, first, complaint)
    for chunk, crops in crop_batches(reader, keys, batch_size):
        yield chunk, in_precision(chosen, label, crops)


def crop_batches(
    reader: ShardReader, keys: Sequence[str], batch_size: int
) -> Iterator[tuple[Sequence[str], Float[Tensor, "B 3 H W"]]]:
    """Keys and their crops, sRGB in 0..1, on the best device."""
    for first in range(0, len(keys), batch_size):
        chunk = keys[first : first + batch_size]
        pictures = np.stack([decode(reader.read(key, "jpg")) for key in chunk])
        images = torch.from_numpy(pictures).to(best_device()).permute(0, 3, 1, 2).float() / 255
        yield chunk, images.contiguous(memory_format=torch.channels_last)
