from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.camera import Camera
from models.face_model import FaceModel
from pipelines.reporting.artist import Artist
from pipelines.reporting.face_model_inspection import _open_mouth, inspection_sheet
from tests.toy import toy_face_arrays


def test_every_row_shows_something(tmp_path: Path) -> None:
    artist = Artist(FaceModel(toy_face_arrays()), Camera(0.22, 1000.0), 64)
    inspection_sheet(tmp_path / "sheet.png", artist)
    picture = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"), np.float32)
    rows = np.array_split(picture, 5)
    assert all(row[:, 100:].std() > 5 for row in rows)
    red = (picture[..., 0] > 150) & (picture[..., 1] < 90) & (picture[..., 2] < 90)
    assert red[: len(picture) // 2].mean() < red[-len(picture) // 5 :].mean()  # the landmarks and the mouth patch


def test_the_mouth_is_shown_open() -> None:
    model = FaceModel(toy_face_arrays())
    closed, opened = (
        model.landmarks(model.vertices(torch.zeros(1, model.shape_size), expression))[0]
        for expression in (torch.zeros(1, model.expression_size), _open_mouth(model))
    )
    assert opened[62, 1] - opened[66, 1] > closed[62, 1] - closed[66, 1] + 5
