"""One new photograph in a hundred: every labelling stage labels its shard, and no other, again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from models.landmarks import FIVE_POINT_TEMPLATE
from models.networks.landmark_network import LandmarkNetwork
from models.networks.recognizer import Recognizer
from models.networks.segmenter import Segmenter
from models.segments import SEGMENTS
from pipelines.labelling import align
from pipelines.labelling.align import align_photographs
from pipelines.labelling.detection import Face
from pipelines.labelling.embedding import embed_crops
from pipelines.labelling.landmark_labels import label_landmarks
from pipelines.labelling.mouth import label_mouths
from pipelines.labelling.segmentation import label_segments
from pipelines.labelling.skin import label_skin
from pipelines.params import AlignParams, EmbedParams, LandmarksParams, MouthParams, SegmentParams
from pipelines.shards import ShardReader, read_rows
from pipelines.weights import save_weights
from tests.label_folders import CROP, write_photographs

SHARDS, KEYS_PER_SHARD = 25, 4
ALIGN = AlignParams(minimum_face_fraction=0.15, minimum_confidence=0.8, faces="largest", batch_size=4)


class _FaceInTheMiddle:
    """Stands for MTCNN: the face fills every picture."""

    def __init__(self, **options: object) -> None: ...

    def detect(self, pictures: list[Any]) -> list[list[Face]]:
        points = np.array(FIVE_POINT_TEMPLATE) * CROP
        return [[Face(np.array([8.0, 8.0, 56.0, 56.0]), 1.0, points)] for _ in pictures]


def _stages(root: Path) -> dict[str, Callable[[], None]]:
    memo, crops = root / "memo", root / "aligned"
    landmarks = LandmarksParams(network="own", batch_size=4, precision="fp32")
    mouth = MouthParams(minimum_opening_px=2.5)
    return {
        "align": lambda: align_photographs(root / "photographs", crops, params=ALIGN, crop_size=CROP, memo=memo),
        "segment": lambda: label_segments(
            crops,
            root / "segmenter",
            root / "segments",
            params=SegmentParams(batch_size=4, precision="fp32"),
            memo=memo,
        ),
        "skin": lambda: label_skin(crops, root / "skin.json", root / "skin", memo=memo),
        "landmarks": lambda: label_landmarks(
            crops, root / "landmarker", root / "landmarks", params=landmarks, memo=memo
        ),
        "embed": lambda: embed_crops(
            crops, root / "recognizer", root / "features", params=EmbedParams(batch_size=4, precision="fp32"), memo=memo
        ),
        "mouth": lambda: label_mouths(root / "landmarks", root / "segments", root / "mouth", params=mouth, memo=memo),
    }


def _write_weights(root: Path) -> None:
    torch.manual_seed(0)
    for name, network in (
        ("segmenter", Segmenter("unet", "resnet18", 64)),
        ("landmarker", LandmarkNetwork("resnet18", 64)),
        ("recognizer", Recognizer("shufflenet_v2_x0_5", 8, 64)),
    ):
        architecture = "shufflenet_v2_x0_5" if name == "recognizer" else "unet"
        description = {"architecture": architecture, "encoder": "resnet18", "input_size": 64, "embedding_size": 8}
        save_weights(root / name, network, {**description, "classes": list(SEGMENTS)}, pd.DataFrame({"step": []}))
    mixture = {"weights": [1.0], "means": [[100.0, 120.0, 140.0]], "covariances": [np.diag([900.0] * 3).tolist()]}
    (root / "skin.json").write_text(json.dumps({"skin": mixture, "other": mixture, "prior": 0.5}))


def _write_photographs(root: Path, count: int, split: str) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    pictures = {f"face-{number:03d}": colour.repeat(16, 0).repeat(16, 1) for number, colour in enumerate(colours)}
    write_photographs(root / "photographs", pictures, keys_per_shard=KEYS_PER_SHARD, split=split)


def test_a_hundred_and_first_photograph_costs_one_shard_in_every_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(align, "FaceDetector", _FaceInTheMiddle)
    _write_weights(tmp_path)
    entries = 0
    for count, split, expected in ((100, "train", SHARDS), (101, "test", 1)):  # a new split of all costs nothing
        _write_photographs(tmp_path, count, split)
        for name, stage in _stages(tmp_path).items():
            stage()
            made = len(list((tmp_path / "memo").iterdir())) - entries
            assert made == expected, name
            entries += made
    assert set(read_rows(tmp_path / "aligned")["split"]) == {"test"}
    keys = ShardReader(tmp_path / "aligned").keys
    assert len(keys) == 101
    for name in ("segments", "skin", "mouth"):
        assert ShardReader(tmp_path / name).keys == keys
    for name in ("landmarks", "features"):
        assert read_rows(tmp_path / name)["key"].tolist() == keys
