"""Alignment: frames, the choice among faces, and a row for every photograph."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skimage.data
import torch
from numpy.typing import NDArray

from models.camera import index_from_pixel_affine
from models.landmarks import FIVE_POINT_TEMPLATE
from pipelines.labelling.align import align_photographs, choose
from pipelines.labelling.detection import Face
from pipelines.labelling.warping import crop_from_five_points, scale_of, warp_picture, warp_points, warp_segments
from pipelines.params import AlignParams
from pipelines.shards import ShardReader, decode, read_rows, write_rows
from tests.label_folders import write_photographs

PARAMS = AlignParams(minimum_face_fraction=0.15, minimum_confidence=0.8, faces="largest", batch_size=4)
TEMPLATE = np.array(FIVE_POINT_TEMPLATE) * 224


def _turned(scale: float, degrees: float, x: float, y: float) -> NDArray[np.float64]:
    cosine, sine = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[cosine, -sine, x], [sine, cosine, y]])


def _inverse(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.inv(np.concatenate([affine, [[0, 0, 1]]]))[:2]


def test_identity_and_shift_by_whole_pixels_are_exact() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    assert (warp_picture(picture, _turned(1, 0, 0, 0), 20) == picture).all()
    moved = warp_picture(picture, _turned(1, 0, 3, -2), 20)
    assert (moved[:18, 3:] == picture[2:, :17]).all()
    assert (moved[18:] == 0).all() and (moved[:, :3] == 0).all()


def test_coordinates_are_measured_from_the_corner() -> None:
    """A map that doubles everything puts each pixel's square onto two by two pixels; index coordinates would not."""
    segments = np.array([[1, 2], [3, 4]], np.uint8)
    assert (warp_segments(segments, _turned(2, 0, 0, 0), 4) == segments.repeat(2, 0).repeat(2, 1)).all()
    quarter_turn = _turned(1, 90, 2, 0)  # about the corner, then back into the picture
    assert (warp_segments(segments, quarter_turn, 2) == np.rot90(segments, -1)).all()


def test_index_affine_by_hand() -> None:
    doubled = torch.tensor([[[2.0, 0, 0], [0, 2.0, 0]]])
    expected = torch.tensor([[[2.0, 0, 0.5], [0, 2.0, 0.5]]])  # index 0 is 0.5 px from the corner, so it lands at 1 px
    torch.testing.assert_close(index_from_pixel_affine(doubled), expected)


def test_a_spot_lands_where_its_point_is_mapped() -> None:
    y, x = np.mgrid[:500, :500] + 0.5
    for affine in (_turned(0.61, 12, 20, -15), _turned(0.23, -20, 5, 60), _turned(1.7, 5, -180, -150)):
        point = warp_points(np.array([100.0, 120.0]), _inverse(affine))
        spot = 255 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * (4 / scale_of(affine)) ** 2))
        crop = warp_picture(np.repeat(spot[..., None], 3, -1).astype(np.uint8), affine, 224)[..., 0].astype(float)
        rows, columns = np.mgrid[:224, :224] + 0.5
        found = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
        np.testing.assert_allclose(found, (100, 120), atol=0.1)


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((700, 700, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = warp_picture(stripes, _turned(0.3, 0, 0, 0), 200)
    assert abs(crop[20:-20, 20:-20].astype(float) - 127.5).max() < 35  # point sampling gives 0 and 255


def test_five_points_land_on_the_template() -> None:
    affine = _turned(0.7, 8, 10, 20)
    found = crop_from_five_points(warp_points(TEMPLATE, _inverse(affine)), 224)
    np.testing.assert_allclose(found, affine, atol=1e-9)


def _face(width: float, confidence: float, points: NDArray[np.float64] | None = None) -> Face:
    box = np.array([0.0, 0.0, width, width])
    return Face(box, confidence, TEMPLATE * 2 * width / 224 if points is None else points)


def test_largest_usable_face_is_chosen_and_reasons_are_told() -> None:
    good, unsure, large = _face(50, 0.99), _face(90, 0.75), _face(70, 0.95)
    assert [one.reason for one in choose([], PARAMS)] == ["no face found"]
    assert choose([unsure, large, good], PARAMS)[0].face is large
    assert choose([unsure], PARAMS)[0].reason == "face with confidence 0.75, below 0.80"
    everyone = choose([unsure, large, good], PARAMS.model_copy(update={"faces": "all"}))
    assert [one.reason != "" for one in everyone] == [True, False, False]


@pytest.mark.parametrize("points", [np.full((5, 2), 3.0), np.full((5, 2), np.nan), TEMPLATE * 0.05, TEMPLATE * 20])
def test_points_that_make_no_face_are_degenerate(points: NDArray[np.float64]) -> None:
    assert choose([_face(100, 0.99, points)], PARAMS)[0].reason == "face points degenerate"


def _pictures() -> dict[str, NDArray[np.uint8]]:
    person = skimage.data.astronaut()[:256, 96:352]
    return {
        "person": person,
        "grey": np.full((120, 90, 3), 128, np.uint8),
        "two": np.concatenate([person, person[:, ::-1]], axis=1),
        "dot": np.zeros((1, 1, 3), np.uint8),
        "thin": np.zeros((6, 400, 3), np.uint8),
        "large": person.repeat(5, 0).repeat(5, 1),
    }


def test_every_photograph_gets_a_row(tmp_path: Path) -> None:
    photographs, aligned = tmp_path / "photographs", tmp_path / "aligned"
    write_photographs(photographs, _pictures())
    broken = pd.DataFrame(
        [{"key": "z", "name": "z.jpg", "synthetic": False, "status": "rejected", "reason": "not a picture"}]
    )
    write_rows(photographs, pd.concat([read_rows(photographs), broken.assign(identity="", split="train")]))
    align_photographs(photographs, aligned, params=PARAMS, crop_size=112, memo=tmp_path / "memo")
    rows = read_rows(aligned).set_index("key")
    assert sorted(rows.index) == sorted([*_pictures(), "z"])
    assert rows.loc[["person", "two", "large"], "status"].eq("kept").all()
    assert rows.loc[["grey", "dot", "thin"], "reason"].eq("no face found").all()
    assert rows.loc["z", "reason"] == "not a picture"
    reader = ShardReader(aligned)
    assert sorted(reader.keys) == ["large", "person", "two"]
    assert decode(reader.read("person", "jpg")).shape == (112, 112, 3)
    points = {key: np.array(rows.loc[key, "points"]) for key in ("person", "large")}
    np.testing.assert_allclose(points["large"] / 5, points["person"], atol=2)


def test_all_faces_get_rows_and_keys_of_their_own(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photographs", {"two": _pictures()["two"]})
    everyone = PARAMS.model_copy(update={"faces": "all", "minimum_face_fraction": 0.3})
    align_photographs(tmp_path / "photographs", tmp_path / "a", params=everyone, crop_size=112, memo=tmp_path / "memo")
    rows = read_rows(tmp_path / "a")
    assert rows["photograph"].eq("two").all()
    assert {"two-0", "two-1"} <= set(rows.loc[rows["status"] == "kept", "key"])
    assert sorted(ShardReader(tmp_path / "a").keys) == sorted(rows.loc[rows["status"] == "kept", "key"])


def test_no_face_at_all_is_an_error_that_counts_the_reasons(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photographs", {"grey": _pictures()["grey"], "dot": _pictures()["dot"]})
    with pytest.raises(ValueError, match=r"no photograph with a usable face is left: no face found \(2\)"):
        align_photographs(
            tmp_path / "photographs", tmp_path / "a", params=PARAMS, crop_size=112, memo=tmp_path / "memo"
        )
