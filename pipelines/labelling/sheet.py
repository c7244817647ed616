"""A sheet to look at: some crops with every label drawn on them, real photographs first."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.segments import SEGMENTS
from pipelines.dataset import crops, landmarks_by_key
from pipelines.labelling.truth import evenly_spread
from pipelines.reporting.sheet import save_sheet
from pipelines.shards import ShardReader, decode

Picture = NDArray[np.float64]
COLUMNS = ("crop", "segments", "skin probability", "landmarks", "inner mouth")
MOST_REAL_ROWS = 8
SEGMENT_COLOURS: dict[str, tuple[str, tuple[int, int, int]]] = {
    "background": ("not coloured", (0, 0, 0)),
    "skin": ("apricot", (240, 180, 140)),
    "brows": ("brown", (110, 60, 20)),
    "eyes": ("blue", (60, 120, 255)),
    "nose": ("orange", (255, 120, 60)),
    "lips": ("crimson", (220, 30, 90)),
    "inner_mouth": ("violet", (120, 0, 160)),
    "hair": ("yellow", (250, 220, 0)),
    "glasses": ("cyan", (0, 220, 220)),
    "hat": ("green", (0, 170, 60)),
}
SEGMENT_RGB = np.array([SEGMENT_COLOURS[name][1] for name in SEGMENTS]) / 255
POINT_RGB, MOUTH_RGB = (0.1, 1.0, 0.2), (1.0, 0.1, 0.6)


def draw_labels(labels: Path, sheet: Path, *, examples: int) -> None:
    """Write the sheet: the real photographs (at most 8) and `examples` synthetic ones of the test split."""
    rows = _chosen(labels / "aligned", examples)
    readers = {name: ShardReader(labels / name) for name in ("segments", "skin", "mouth")}
    pictures, points = ShardReader(labels / "aligned"), landmarks_by_key(labels / "landmarks")
    cells = []
    for key in rows["key"]:
        crop = decode(pictures.read(key, "jpg")) / 255
        segments, skin, mouth = (decode(reader.read(key, "png")) for reader in readers.values())
        colours = SEGMENT_RGB[segments]
        cells.append(
            [
                crop,
                np.where((segments > 0)[..., None], 0.45 * crop + 0.55 * colours, crop),
                np.repeat(skin[..., None] / 255, 3, axis=-1),
                _with_points(crop, points[key]),
                np.where((mouth > 0)[..., None], 0.4 * crop + 0.6 * np.array(MOUTH_RGB), crop),
            ]
        )
    save_sheet(sheet, cells, columns=COLUMNS, labels=_names(rows), note=_legend())


def _chosen(aligned: Path, examples: int) -> pd.DataFrame:
    rows = crops(aligned, "train", "validation", "test", "extra")
    real = rows[~rows["synthetic"].astype(bool)]
    synthetic = rows[rows["synthetic"].astype(bool) & (rows["split"] == "test")]
    parts = [(real, MOST_REAL_ROWS), (synthetic, examples)]
    return pd.concat([part.iloc[evenly_spread(len(part), wanted)] for part, wanted in parts])


def _names(rows: pd.DataFrame) -> Sequence[str]:
    return ["synthetic" if row["synthetic"] else str(row["name"])[:20] for _, row in rows.iterrows()]


def _legend() -> str:
    return "segments: " + ", ".join(f"{name} {SEGMENT_COLOURS[name][0]}" for name in SEGMENTS[1:])


def _with_points(crop: Picture, landmarks: NDArray[np.floating]) -> Picture:
    """A 3×3 px dot at each landmark that lies inside."""
    picture, size = crop.copy(), len(crop)
    for x, y in np.floor(landmarks).astype(int):
        if 1 <= x < size - 1 and 1 <= y < size - 1:
            picture[y - 1 : y + 2, x - 1 : x + 2] = POINT_RGB
    return picture
