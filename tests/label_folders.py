"""Small photograph, truth and crop folders in the formats of the labelling stages."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from models.landmarks import FIVE_POINT_TEMPLATE
from models.segments import SEGMENT_INDEX
from pipelines.labelling.landmark_training import train_landmarks
from pipelines.labelling.segmentation import train_segmenter
from pipelines.params import LandmarkTrainingParams, SegmenterTrainingParams
from pipelines.shards import ShardWriter, encode_jpeg, encode_png, write_rows

CROP = 64
_BRIEF = {
    "encoder": "resnet18",
    "input_size": 64,
    "precision": "fp32",
    "iterations": 2,
    "batch_size": 2,
    "learning_rate": 1.0e-3,
    "seed": 1,
}
BRIEF_SEGMENTER = SegmenterTrainingParams.model_validate({"architecture": "unet", "truth": "synthetic", **_BRIEF})
BRIEF_LANDMARKS = LandmarkTrainingParams.model_validate({"initial_encoder": "scratch", **_BRIEF})


def train_toy_segmenter(root: Path, output: str, **changes: object) -> None:
    """Train two steps, or as `changes` say, on the crops that `write_crops` has left in `root`."""
    params = BRIEF_SEGMENTER.model_copy(update=changes)
    train_segmenter(root / "aligned", root / "truth", root / output, params=params)


def train_toy_landmarks(root: Path, output: str, **changes: object) -> None:
    """The same for the landmark network; the segmenter it may begin with is in `root / "segmenter"`."""
    params = BRIEF_LANDMARKS.model_copy(update=changes)
    train_landmarks(root / "aligned", root / "truth", root / "segmenter", root / output, params=params)


def write_photographs(
    folder: Path, pictures: Mapping[str, NDArray[np.uint8]], *, keys_per_shard: int = 2, split: str = "extra"
) -> None:
    """A photographs folder of kept real photographs."""
    with ShardWriter(folder, keys_per_shard=keys_per_shard) as writer:
        for key, picture in pictures.items():
            writer.write(key, {"jpg": encode_jpeg(picture)})
    rows = {"name": [f"{key}.jpg" for key in pictures], "identity": "", "split": split, "synthetic": False}
    sizes = {"height": [len(p) for p in pictures.values()], "width": [p.shape[1] for p in pictures.values()]}
    write_rows(folder, pd.DataFrame({"key": list(pictures), **rows, **sizes, "status": "kept", "reason": ""}))


def write_crops(
    folder: Path,
    count: int,
    *,
    split: str = "train",
    synthetic: bool = True,
    annotated: int = 0,
    keys_per_shard: int = 3,
) -> None:
    """`folder`/aligned and `folder`/truth: open-mouthed discs of any tone on a blue ground, each its own photograph.

    The photograph is the crop itself, so that both frames are the same. The last `annotated` ones are real photographs
    of which only the segments are known.
    """
    generator = np.random.default_rng(0)
    aligned, truth = folder / "aligned", folder / "truth"
    rows, truths = [], []
    with (
        ShardWriter(aligned, keys_per_shard=keys_per_shard) as crop_writer,
        ShardWriter(truth, keys_per_shard=keys_per_shard) as truth_writer,
    ):
        for number in range(count):
            key = f"face-{number:02d}"
            picture, segments = _drawn_face(np.array([230, 180, 150]) * (0.3 + 0.7 * number / count), generator)
            crop_writer.write(key, {"jpg": encode_jpeg(picture)})
            is_annotated = number >= count - annotated
            rows.append(_row(key, split, synthetic and not is_annotated))
            if synthetic or is_annotated:
                truth_writer.write(key, {"segments.png": encode_png(segments)})
            if synthetic and not is_annotated:
                truths.append(_truth(key, float(number)))
    write_rows(aligned, pd.DataFrame(rows))
    write_rows(truth, pd.DataFrame(truths))


def toy_landmarks(opening: float = 8.0) -> NDArray[np.float64]:
    """68 points (68, 2), px of a 64 px crop: eyes, nose and mouth as aligned, lips `opening` px apart."""
    angle = np.linspace(0, np.pi, 68)
    points = CROP / 2 + np.stack([-24 * np.cos(angle), 24 * np.sin(angle)], axis=-1)
    right_eye, left_eye, nose, *corners = np.array(FIVE_POINT_TEMPLATE) * CROP
    points[36:42], points[42:48], points[30] = right_eye, left_eye, nose
    (left, y), (right, _) = corners
    across = np.linspace(left, right, 5)
    arc = np.array([0, 0.8, 1, 0.8, 0]) * opening / 2
    points[60:65], points[64:68] = np.stack([across, y - arc], -1), np.stack([across, y + arc], -1)[:0:-1]
    outer = np.linspace(left, right, 7)
    bow = np.sin(np.linspace(0, np.pi, 7)) * (opening / 2 + 3)
    points[48:55], points[54:60] = np.stack([outer, y - bow], -1), np.stack([outer, y + bow], -1)[:0:-1]
    return points


def _drawn_face(
    skin: NDArray[np.float64], generator: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    axis = np.arange(CROP) + 0.5 - CROP / 2
    radius = np.hypot(axis, axis[:, None])
    segments = np.where(radius < 24, SEGMENT_INDEX["skin"], SEGMENT_INDEX["background"]).astype(np.uint8)
    segments[:14][radius[:14] < 24] = SEGMENT_INDEX["hair"]
    segments[polygon2mask(segments.shape, toy_landmarks()[60:68, ::-1] - 0.5)] = SEGMENT_INDEX["inner_mouth"]
    colours = np.zeros((10, 3))
    colours[[0, 1, 6, 7]] = (60, 90, 200), skin, (90, 20, 20), (20, 26, 40)
    picture = colours[segments] + generator.normal(0, 6, (CROP, CROP, 3))
    return picture.clip(0, 255).astype(np.uint8), segments


def _row(key: str, split: str, synthetic: bool) -> dict[str, object]:
    return {
        "key": key,
        "photograph": key,
        "name": key,
        "identity": key,
        "split": split,
        "synthetic": synthetic,
        "status": "kept",
        "reason": "",
        "box": [8.0, 8.0, 56.0, 56.0],
        "confidence": 1.0,
        "points": (np.array(FIVE_POINT_TEMPLATE) * CROP).ravel().tolist(),
        "crop_from_photograph": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    }


def _truth(key: str, tone: float) -> dict[str, object]:
    return {
        "key": key,
        "landmarks": toy_landmarks().ravel().tolist(),
        "landmarks_visible": [True] * 68,
        "skin_tone_ita": tone,
        "mouth_open_px": 8.0,
    }
