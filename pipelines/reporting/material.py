"""The photographs that figures show, and what each method predicted for them."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.dataset import crops, landmarks_by_key
from pipelines.reporting.artist import Picture
from pipelines.reporting.predictions import Predictions
from pipelines.shards import ShardReader, decode


class Material:
    """Crops of the test photographs and of the real ones, with predictions by method."""

    def __init__(self, labels: Path, predictions: Path, variants: tuple[str, ...]) -> None:
        if "full" not in variants:
            raise ValueError(f"variants: figures and page show the variant 'full', got {', '.join(variants)}")
        self.variants = variants
        self.labels, self.predictions_folder = labels, predictions
        self._crops = ShardReader(labels / "aligned")
        self.landmarks = landmarks_by_key(labels / "landmarks")
        self.predictions = cache(self._predictions)

    def photograph(self, key: str) -> Picture:
        """The aligned crop, (H, W, 3) sRGB in 0..1."""
        return (decode(self._crops.read(key, "jpg")) / 255).astype(np.float32)

    def _predictions(self, method: str) -> Predictions:
        return Predictions(self.predictions_folder / method)

    def trained(self, *variants: str) -> list[str]:
        """Those of the named variants that this pipeline trains."""
        return [variant for variant in variants if variant in self.variants]

    def test_rows(self) -> pd.DataFrame:
        """The kept test crops for which there are predictions."""
        return self._predicted(crops(self.labels / "aligned", "test"))

    def real_keys(self) -> list[str]:
        """The real photographs: those that join every data set, and those of a folder of one's own."""
        rows = crops(self.labels / "aligned", "extra", "test")
        return self._predicted(rows[~rows["synthetic"]])["key"].tolist()

    def examples(self, count: int) -> list[str]:
        """Test crops of `count` different people, if there are so many."""
        rows = self.test_rows()
        first_of_each = ~rows.duplicated("identity") | (rows["identity"] == "")
        return rows[first_of_each]["key"].tolist()[:count]

    def mouths(self, count: int) -> list[str]:
        """Test crops from the widest open to the nearly closed mouth, by the labelled inner mouth."""
        keys = self.test_rows()["key"].tolist()
        reader = ShardReader(self.labels / "mouth")
        by_area = sorted(keys, key=lambda key: (-int((decode(reader.read(key, "png")) > 127).sum()), key))
        chosen = np.linspace(0, 0.6 * (len(by_area) - 1), min(count, len(by_area)))  # the last ones are shut
        return list(dict.fromkeys(by_area[round(index)] for index in chosen))

    def _predicted(self, rows: pd.DataFrame) -> pd.DataFrame:
        full = self.predictions("full")
        return rows[[key in full for key in rows["key"]]]
