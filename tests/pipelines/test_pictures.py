from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipelines.pictures import side_by_side, to_uint8, write_png


def test_values_are_rounded_and_clamped() -> None:
    picture = torch.tensor([[[-0.5, 0.0, 0.5, 0.999, 1.0, 2.0]]])
    np.testing.assert_array_equal(to_uint8(picture)[0, 0], [0, 0, 128, 255, 255, 255])


def test_faces_are_rows_and_pictures_columns(tmp_path: Path) -> None:
    columns = [torch.full((2, 3, 4, 5), column / 10) for column in range(3)]
    columns[1][1] = 1.0
    sheet = side_by_side(columns)
    assert sheet.shape == (8, 15, 3)
    assert (sheet[4:, 5:10] == 255).all() and (sheet[:4, 5:10] == 26).all() and (sheet[:, 10:] == 51).all()
    write_png(tmp_path / "new" / "sheet.png", sheet)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "sheet.png")), sheet)
