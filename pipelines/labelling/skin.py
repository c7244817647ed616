"""The probability of skin at each pixel of each crop, by its colour."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from models import mixture
from models.mixture import skin_probability, ycbcr_from_rgb
from pipelines.engines import IN_THIS_PROCESS
from pipelines.labelling.shard_map import LabelShard, map_shards
from pipelines.labelling.skin_mixture import SkinMixtures, load_skin_mixtures
from pipelines.params import LabellingParams
from pipelines.shard_memo import Item, source_digest
from pipelines.shards import ShardReader, decode, encode_png, sha256_of, write_rows


def label_skin(
    aligned: Path, mixtures: Path, output: Path, *, memo: Path, engine: LabellingParams = IN_THIS_PROCESS
) -> None:
    """Write round(255 p) for each pixel of each crop."""
    fingerprint = {
        "stage": "skin",
        "mixtures": sha256_of(mixtures),
        "code": source_digest(__file__, mixture.__file__),
    }

    step = _LabelSkin(aligned, mixtures)
    rows = map_shards(step, {aligned: ()}, output, fingerprint=fingerprint, memo=memo, engine=engine, one_thread=True)
    write_rows(output, rows)


@dataclass(frozen=True)
class _LabelSkin:
    aligned: Path
    mixtures: Path

    def prepare(self) -> LabelShard:
        table, reader = SkinTable(load_skin_mixtures(self.mixtures)), ShardReader(self.aligned)

        def label_shard(keys: Sequence[str]) -> Iterator[Item]:
            for key in keys:
                mask = table.probability(decode(reader.read(key, "jpg")))
                yield Item(key, {"png": encode_png(mask)}, {"key": key})

        return label_shard


class SkinTable:
    """round(255 p) of every 8-bit colour, worked out when a colour is first met: photographs repeat their colours."""

    def __init__(self, mixtures: SkinMixtures) -> None:
        self.mixtures = mixtures
        self._values = np.full(2**24, -1, np.int16)  # -1: not met yet

    def probability(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """round(255 p) of each pixel (H, W) of an RGB picture (H, W, 3)."""
        colours = np.zeros((*picture.shape[:2], 4), np.uint8)
        colours[..., :3] = picture
        codes = colours.view("<u4")[..., 0]
        values = self._values[codes]
        unknown = codes[values < 0]
        if len(unknown):
            self._fill(pd.unique(unknown))
            values = self._values[codes]
        return values.astype(np.uint8)

    def _fill(self, codes: NDArray[np.uint32]) -> None:
        rgb = torch.from_numpy(codes.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :3]).double()
        probability = skin_probability(ycbcr_from_rgb(rgb), *self.mixtures)
        self._values[codes] = (255 * probability).round().numpy()
