"""Face model, crops, labels and truth of a few toy faces, as the stages before the training leave them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from models.camera import Camera
from models.coefficients import Coefficients, CoefficientSizes
from models.face_model import FaceModel
from models.networks.recognizer import Recognizer
from models.networks.regressor import neutral_coefficients
from models.renderer import full_picture, landmark_pixels, pose_face, render
from models.segments import SEGMENT_INDEX
from pipelines.face_model_file import save_face_model
from pipelines.params import Params
from pipelines.pictures import to_uint8
from pipelines.shards import ShardWriter, encode_jpeg, encode_png, write_rows
from pipelines.weights import save_weights
from stages._params import parse_params
from tests.toy import toy_face_arrays

CAMERA = Camera(math.radians(12.6), 1000.0)
SIZE = 64  # px of a crop, instead of 224
SIZES = CoefficientSizes(6, 5, 4)
WHOLE_PICTURE = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]

_PARAMS_FILE = Path(__file__).parents[1] / "params.yaml"


def smoke_params() -> Params:
    """The real parameters, to change with `model_copy(update=...)`."""
    return parse_params(_PARAMS_FILE.read_text().replace("profile: default", "profile: smoke", 1))


def write_aligned(folder: Path, pictures: dict[str, NDArray[np.uint8]], **columns: Any) -> None:
    """Crops and their rows; `columns` replace the defaults, one value for all or a list."""
    with ShardWriter(folder, keys_per_shard=4) as writer:
        for key, picture in pictures.items():
            writer.write(key, {"jpg": encode_jpeg(picture)})
    defaults = {"photograph": list(pictures), "identity": "", "split": "train", "synthetic": True, "status": "kept"}
    whole = {"crop_from_photograph": [WHOLE_PICTURE] * len(pictures)}
    write_rows(folder, pd.DataFrame({"key": list(pictures), **defaults, **whole, **columns}))


def random_faces(count: int, seed: int = 0) -> Coefficients:
    """Toy faces near the mean in various poses, most with an open mouth."""
    generator = torch.Generator().manual_seed(seed)
    neutral = neutral_coefficients(SIZES, count)
    changes = {
        "shape": 0.5 * torch.randn(count, 6, generator=generator),
        "expression": 0.3 * torch.randn(count, 5, generator=generator),
        "albedo": torch.randn(count, 4, generator=generator),
        "euler_angles": 0.15 * torch.randn(count, 3, generator=generator),
        "sh_coefficients": neutral.sh_coefficients + 0.1 * torch.randn(count, 9, 3, generator=generator),
        "light_position": neutral.light_position + 200 * torch.randn(count, 1, 3, generator=generator),
        "shininess": neutral.shininess * (0.5 + torch.rand(count, 1, generator=generator)),
    }
    changes["expression"][:, 0] = torch.linspace(0, 1.5, count)
    return neutral._replace(**changes)


def write_label_tree(root: Path, count: int = 6) -> Coefficients:
    """Write `face_model.h5`, `labels/`, `truth/` and `recognizer/` under `root`; returns the true coefficients."""
    arrays = toy_face_arrays()
    save_face_model(root / "face_model.h5", arrays)
    model, truth = FaceModel(arrays), random_faces(count)
    face = pose_face(model, truth, CAMERA)
    rendering = render(model, face, SIZE)
    keys = [f"face-{index}" for index in range(count)]
    pictures = to_uint8(full_picture(rendering)).transpose(0, 2, 3, 1)
    covered, mouth = ((mask[:, 0] > 0).numpy() for mask in (rendering.coverage, rendering.mouth))
    segments = np.where(mouth, SEGMENT_INDEX["inner_mouth"], np.where(covered, SEGMENT_INDEX["skin"], 0))
    write_aligned(root / "labels/aligned", dict(zip(keys, pictures, strict=True)))
    write_masks(root / "labels/segments", keys, segments)
    write_masks(root / "labels/skin", keys, 200 * covered)
    write_masks(root / "labels/mouth", keys, 255 * mouth)
    landmarks = [points.ravel() for points in landmark_pixels(model, face, SIZE).numpy()]
    write_rows(root / "labels/landmarks", pd.DataFrame({"key": keys, "landmarks": landmarks}))
    _write_truth(root / "truth", keys, truth, landmarks)
    _write_recognizer(root / "recognizer")
    features = torch.nn.functional.normalize(torch.randn(count, 8), dim=-1).numpy()
    write_rows(root / "labels/features", pd.DataFrame({"key": keys, "features": list(features)}))
    return truth


def write_masks(folder: Path, keys: list[str], masks: NDArray[Any]) -> None:
    """A mask of each key, (N, H, W)."""
    with ShardWriter(folder, keys_per_shard=4) as writer:
        for key, mask in zip(keys, masks.astype(np.uint8), strict=True):
            writer.write(key, {"png": encode_png(mask)})
    write_rows(folder, pd.DataFrame({"key": keys}))


def _write_truth(folder: Path, keys: list[str], truth: Coefficients, landmarks: list[NDArray[np.float32]]) -> None:
    groups = {name: list(group.flatten(1).numpy()) for name, group in truth._asdict().items()}
    groups["shininess"] = truth.shininess[:, 0].tolist()
    with ShardWriter(folder, keys_per_shard=4):
        pass
    write_rows(folder, pd.DataFrame({"key": keys, "landmarks": landmarks, **groups}))


def _write_recognizer(folder: Path) -> None:
    torch.manual_seed(0)
    network = Recognizer("resnet18", 8, 64)
    description = {"architecture": "resnet18", "embedding_size": 8, "input_size": 64}
    save_weights(folder, network, description, pd.DataFrame({"step": []}))
