"""The probability of skin at each pixel of each crop, by its colour."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
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
        self._values = np.zeros(2**24, np.uint8)
        self._known = np.zeros(2**24, bool)

    def probability(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """round(255 p) of each pixel (H, W) of an RGB picture (H, W, 3)."""
        red, green, blue = np.moveaxis(picture.astype(np.int32), -1, 0)
        codes = (red << 16) | (green << 8) | blue
        unknown = np.unique(codes[~self._known[codes]])
        if len(unknown):
            rgb = torch.from_numpy(np.stack([unknown >> 16, (unknown >> 8) & 255, unknown & 255], axis=-1)).double()
            probability = skin_probability(ycbcr_from_rgb(rgb), *self.mixtures)
            self._values[unknown] = (255 * probability).round().numpy()
            self._known[unknown] = True
        return self._values[codes]
