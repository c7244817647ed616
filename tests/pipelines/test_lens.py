"""The lens of a calibrated camera: what it bent is straight again, and calibrations that cannot be right are named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.benchmarks.build import write_photographs
from pipelines.benchmarks.lens import Lens, LensMismatchError, lens_from_entries, straightened
from pipelines.benchmarks.raw import RawPhotograph, RawSample
from pipelines.benchmarks.read_facescape import Sizes, read_facescape
from pipelines.shards import ShardReader, decode
from tests.pipelines.test_benchmarks import write_facescape

MATRIX = [[120.0, 0.0, 63.5], [0.0, 120.0, 47.5], [0.0, 0.0, 1.0]]
BARREL = [-0.3, 0.1, 0.002, -0.003, 0.01]
ENTRIES: dict[str, Any] = {"0_K": MATRIX, "0_distortion": BARREL, "0_width": 128, "0_height": 96}


def bent(points: NDArray[np.float64], lens: Lens) -> NDArray[np.float64]:
    """OpenCV's model, transcribed: where points (N, 2) of an ideal camera appear behind the lens."""
    (fx, _, cx), (_, fy, cy), _ = lens.matrix
    k1, k2, p1, p2, k3 = lens.distortion
    found = []
    for u, v in points:
        x, y = (u - cx) / fx, (v - cy) / fy
        r2 = x * x + y * y
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        found.append(
            [
                fx * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + cx,
                fy * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y) + cy,
            ]
        )
    return np.array(found)


def picture_of(points: NDArray[np.float64], scale: int = 1) -> NDArray[np.uint8]:
    """A soft bright dot at each point, in pixels whose centres are at whole numbers, times `scale`."""
    rows, columns = np.mgrid[: 96 * scale, : 128 * scale]
    shown = np.zeros((96 * scale, 128 * scale))
    for x, y in (points + 0.5) * scale - 0.5:
        shown += 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (2 * scale) ** 2))
    return np.repeat(shown[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)


def centre_of(picture: NDArray[np.uint8], near: NDArray[np.float64], scale: int) -> NDArray[np.float64]:
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    weight = picture[..., 0] * (np.hypot(columns - near[0] * scale, rows - near[1] * scale) < 9 * scale)
    index = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    return np.asarray((index + 0.5) / scale - 0.5)


@pytest.mark.parametrize("scale", [1, 2])
def test_bent_dots_return_to_their_places_at_any_size_of_the_picture(scale: int) -> None:
    lens = lens_from_entries(ENTRIES, "0", where="here")
    assert lens is not None
    dots = np.array([[20.0, 15.0], [64.0, 48.0], [100.0, 20.0], [25.0, 80.0], [105.0, 78.0]])
    assert np.abs(bent(dots, lens) - dots).max() > 2.0  # px: the lens matters
    straight = straightened(picture_of(bent(dots, lens), scale), lens)
    for dot in dots:
        np.testing.assert_allclose(centre_of(straight, dot, scale), dot, atol=0.3)


def test_a_matrix_of_4_by_4_is_the_same_lens_and_no_distortion_is_none() -> None:
    padded = np.eye(4)
    padded[:3, :3] = MATRIX
    lens = lens_from_entries(ENTRIES | {"0_K": padded.tolist()}, "0", where="here")
    assert lens is not None
    np.testing.assert_array_equal(lens.matrix, MATRIX)
    assert lens_from_entries(ENTRIES | {"0_distortion": [0.0] * 5}, "0", where="here") is None
    assert lens_from_entries({"0_K": MATRIX}, "0", where="here") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"0_distortion": [0.1] * 4}, "expected 5 numbers"),
        ({"0_K": [[1.0]]}, "K of 3×3 or 4×4"),
        ({"0_K": None}, "expected 5 numbers|no usable K"),
        ({"0_width": 0}, "and a size"),
        ({"0_distortion": [float("nan")] * 5}, "not finite"),
    ],
)
def test_calibrations_that_cannot_be_right_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"here: view 0.*({message})"):
        lens_from_entries(ENTRIES | changes, "0", where="here")
    with pytest.raises(ValueError, match="no usable K, width and height"):
        lens_from_entries({"0_distortion": BARREL}, "0", where="here")


def test_a_calibration_of_another_picture_stops_the_build(tmp_path: Path) -> None:
    lens = lens_from_entries(ENTRIES, "0", where="here")
    Image.new("RGB", (96, 128)).save(tmp_path / "turned.jpg")
    photo = RawPhotograph("turned", tmp_path / "turned.jpg", "1", lens=lens)
    sample = RawSample("1-neutral", "1", "neutral", (photo,))
    with pytest.raises(LensMismatchError, match="96 × 128 px with a lens calibrated for 128 × 96 px"):
        write_photographs([sample], tmp_path / "photographs", synthetic=False, root=tmp_path)


def test_facescape_views_are_straightened_on_their_way(tmp_path: Path) -> None:
    write_facescape(tmp_path)
    stripes = np.tile(np.arange(40, dtype=np.uint8) * 6, (30, 1))
    for folder in (tmp_path / "imgs").glob("*/*"):
        Image.fromarray(stripes).convert("RGB").save(folder / "0.jpg", quality=95)
        entries = {"0_K": [[40, 0, 19.5], [0, 40, 14.5], [0, 0, 1]], "0_distortion": [-0.8, 0, 0, 0, 0]}
        (folder / "params.json").write_text(json.dumps(entries | {"0_width": 40, "0_height": 30}))
    (sample, *_) = read_facescape(tmp_path, sizes=Sizes(2, 1, 2, 1), seed=0).samples
    write_photographs([sample], tmp_path / "photographs", synthetic=False, root=tmp_path)
    lens = sample.photographs[0].lens
    assert lens is not None
    found = decode(ShardReader(tmp_path / "photographs").read(sample.photographs[0].key, "jpg"))
    expected = straightened(np.asarray(Image.open(sample.photographs[0].path)), lens)
    assert np.abs(found.astype(int) - expected).mean() < 2.0  # as JPEG
    assert np.abs(found.astype(int) - stripes[..., None]).mean() > 4.0
