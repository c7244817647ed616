"""The probability of skin at each pixel of each crop, by its colour."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from models import mixture
from models.mixture import skin_probability, ycbcr_from_rgb
from pipelines.labelling.shard_map import Label, LabelShard, map_shards, source_digest
from pipelines.labelling.skin_mixture import SkinMixtures, load_skin_mixtures
from pipelines.shards import ShardReader, decode, encode_png, sha256_of, write_rows


def label_skin(aligned: Path, mixtures: Path, output: Path, *, memo: Path) -> None:
    """Write round(255 p) for each pixel of each crop."""
    fingerprint = {
        "stage": "skin",
        "mixtures": sha256_of(mixtures),
        "code": source_digest(__file__, mixture.__file__),
    }

    def prepare() -> LabelShard:
        table, reader = SkinTable(load_skin_mixtures(mixtures)), ShardReader(aligned)

        def label_shard(keys: Sequence[str]) -> Iterator[Label]:
            for key in keys:
                mask = table.probability(decode(reader.read(key, "jpg")))
                yield Label(key, {"png": encode_png(mask)}, {"key": key})

        return label_shard

    rows = map_shards([aligned], output, prepare=prepare, fingerprint=fingerprint, memo=memo)
    write_rows(output, rows)


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
