"""The inner-mouth mask A of each crop: what the segmentation saw between the lips, and the inner lip landmarks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from models.landmarks import LANDMARKS
from models.segments import SEGMENT_INDEX
from pipelines.dataset import landmarks_by_key
from pipelines.engines import IN_THIS_PROCESS
from pipelines.labelling.shard_map import LabelShard, map_shards
from pipelines.params import LabellingParams, MouthParams
from pipelines.shard_memo import Item, source_digest
from pipelines.shards import ShardReader, decode, encode_png, write_rows

# Labelled lips never quite touch, and a network's landmarks open little mouths too wide: on held-out photographs those
# of 19 in 20 closed mouths stood up to this multiple of the smallest gap apart. Only beyond it do they open a mouth.
_LANDMARKS_ARE_SURE = 2.1


def label_mouths(
    landmarks: Path,
    segments: Path,
    output: Path,
    *,
    params: MouthParams,
    memo: Path,
    engine: LabellingParams = IN_THIS_PROCESS,
) -> None:
    """Write the inner-mouth mask, 0 or 255, of each crop; empty where the mouth is closed."""
    fingerprint = {"stage": "mouth", "params": params.model_dump(), "code": source_digest(__file__)}

    step = _LabelMouths(landmarks, segments, params.minimum_opening_px)
    sources = {segments: (), landmarks: ("landmarks",)}
    rows = map_shards(step, sources, output, fingerprint=fingerprint, memo=memo, engine=engine, one_thread=True)
    write_rows(output, rows)


@dataclass(frozen=True)
class _LabelMouths:
    landmarks: Path
    segments: Path
    minimum_opening_px: float

    def prepare(self) -> LabelShard:
        reader, points = ShardReader(self.segments), landmarks_by_key(self.landmarks)

        def label_shard(keys: Sequence[str]) -> Iterator[Item]:
            for key in keys:
                mask = mouth_mask(points[key], decode(reader.read(key, "png")), self.minimum_opening_px)
                yield Item(key, {"png": encode_png(mask.astype(np.uint8) * 255)}, {"key": key})

        return label_shard


def mouth_mask(
    landmarks: NDArray[np.floating], segments: NDArray[np.uint8], minimum_opening: float
) -> NDArray[np.bool_]:
    """Pixels of the inner mouth, from 68 landmarks and the segments of the same crop; none where it is closed.

    What the segmentation calls inner mouth between the outer lips, and the polygon of the inner lips where these are
    wide apart: a segmentation can take teeth for lips. Closed is a mean gap below `minimum_opening` pixels.
    """
    mouth = (segments == SEGMENT_INDEX["inner_mouth"]) & _inside(landmarks[LANDMARKS["outer_mouth"]], segments.shape)
    if mouth_opening(landmarks) >= _LANDMARKS_ARE_SURE * minimum_opening:
        mouth |= _inside(landmarks[LANDMARKS["inner_mouth"]], segments.shape)
    return mouth if mean_gap(mouth, landmarks) >= minimum_opening else np.zeros_like(mouth)


def mean_gap(mouth: NDArray[np.bool_], landmarks: NDArray[np.floating]) -> float:
    """Area of the inner mouth over the distance between its corners, in pixels."""
    right, left = landmarks[LANDMARKS["inner_mouth"]][[0, 4]]
    return float(mouth.sum() / max(np.linalg.norm(left - right), 1.0))


def mouth_opening(landmarks: NDArray[np.floating]) -> float:
    """The largest distance between the inner lips (three pairs of opposite points), in the unit of the landmarks."""
    _, *upper, _, right, middle, left = landmarks[LANDMARKS["inner_mouth"]]
    return float(np.linalg.norm(np.stack(upper) - np.stack([left, middle, right]), axis=-1).max())


def _inside(points: NDArray[np.floating], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels whose centre lies within a polygon of (x, y) points."""
    rows_and_columns = points[:, ::-1] - 0.5  # array indices are whole numbers at the centres
    inside: NDArray[np.bool_] = polygon2mask(shape, rows_and_columns)
    return inside
