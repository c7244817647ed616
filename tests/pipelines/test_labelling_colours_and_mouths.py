"""Skin mixtures and their table; the inner-mouth mask; the quality of labels."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from models.mixture import skin_probability, ycbcr_from_rgb
from models.segments import SEGMENT_INDEX
from pipelines.labelling.mouth import label_mouths, mean_gap, mouth_mask, mouth_opening
from pipelines.labelling.quality import measure_labels
from pipelines.labelling.sheet import draw_labels
from pipelines.labelling.skin import SkinTable, label_skin
from pipelines.labelling.skin_mixture import _masks, fit_skin, load_skin_mixtures
from pipelines.params import FitSkinParams, MouthParams
from pipelines.shards import ShardReader, ShardWriter, decode, encode_png, read_rows, write_manifest, write_rows
from tests.label_folders import CROP, toy_landmarks, write_crops

FIT = FitSkinParams(mixtures="fitted", components=3, pixels=6000, skin_prior=0.5, seed=1)
NOTHING = np.zeros((CROP, CROP), np.uint8)


def _write_segments_from_truth(root: Path) -> None:
    """Perfect segments: the toy crops are their own photographs."""
    truth = ShardReader(root / "truth")
    with ShardWriter(root / "segments", keys_per_shard=3) as writer:
        for key in truth.keys:
            writer.write(key, {"png": truth.read(key, "segments.png")})
    write_rows(root / "segments", pd.DataFrame({"key": truth.keys}))


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All labels of nine toy crops of the test split."""
    root = tmp_path_factory.mktemp("labels")
    training = root / "training"
    write_crops(training, 36, split="train")  # each is recoloured once, so that few would leave gaps between the tones
    _write_segments_from_truth(training)
    fit_skin(training / "aligned", training / "segments", training / "truth", root / "skin.json", params=FIT)
    write_crops(root, 9, split="train")
    _write_segments_from_truth(root)
    label_skin(root / "aligned", root / "skin.json", root / "skin", memo=root / "memo")
    keys = ShardReader(root / "aligned").keys
    (root / "landmarks").mkdir()
    points = [(toy_landmarks() + 1.0).ravel().tolist()] * len(keys)
    write_rows(
        root / "landmarks",
        pd.DataFrame({"key": keys, "landmarks": points, "confidence": [[1.0] * 68] * len(keys), "network": "own"}),
    )
    write_manifest(root / "landmarks")
    label_mouths(
        root / "landmarks",
        root / "segments",
        root / "mouth",
        params=MouthParams(minimum_opening_px=2.0),
        memo=root / "memo",
    )
    rows = read_rows(root / "aligned")
    write_rows(root / "aligned", rows.assign(split="test"))
    return root


def test_skin_is_told_from_hair_and_ground_in_every_tone(labels: Path) -> None:
    reader, truth = ShardReader(labels / "skin"), ShardReader(labels / "truth")
    assert reader.keys == truth.keys
    for key in reader.keys:
        probability, segments = decode(reader.read(key, "png")), decode(truth.read(key, "segments.png"))
        assert (probability[segments == SEGMENT_INDEX["skin"]] > 127).mean() > 0.8
        assert (probability[segments == SEGMENT_INDEX["hair"]] > 127).mean() < 0.2
        assert (probability[segments == SEGMENT_INDEX["background"]] > 127).mean() < 0.05


def test_skin_is_fitted_as_many_cameras_would_show_it(labels: Path) -> None:
    """Its redness varies more than in the crops, which one synthetic camera took."""
    reader, truth = ShardReader(labels / "training" / "aligned"), ShardReader(labels / "training" / "truth")
    skin = [decode(truth.read(key, "segments.png")) == SEGMENT_INDEX["skin"] for key in reader.keys]
    colours = [decode(reader.read(key, "jpg"))[mask] for key, mask in zip(reader.keys, skin, strict=True)]
    shown = ycbcr_from_rgb(torch.from_numpy(np.concatenate(colours)).double())[:, 2].var()
    weights, means, covariances = load_skin_mixtures(labels / "skin.json").skin
    red, mean = means[:, 2], weights @ means[:, 2]
    assert weights @ (covariances[:, 2, 2] + (red - mean).square()) > 1.5 * shown


def test_lips_are_skin_and_only_the_ground_above_the_eyes_is_none() -> None:
    """Ears, neck and hands are background in the segments, and skin all the same."""
    segments = NOTHING.copy()
    segments[30, :], segments[40, 20:30] = SEGMENT_INDEX["skin"], SEGMENT_INDEX["lips"]
    segments[10, 20:30] = SEGMENT_INDEX["hair"]
    masks = _masks(segments)
    assert masks["skin"][40, 25] and masks["skin"][30].all() and masks["skin"].sum() == CROP + 10
    assert masks["features"].sum() == 10 and masks["features"][10, 25]
    assert masks["background"][5].all() and not masks["background"][25:].any()


def test_table_is_the_posterior_to_the_last_level(labels: Path) -> None:
    mixtures = load_skin_mixtures(labels / "skin.json")
    picture = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    table = SkinTable(mixtures)
    table.probability(picture[:20])  # half of the colours are known, half are new
    rgb = torch.from_numpy(picture.reshape(-1, 3)).double()
    expected = (255 * skin_probability(ycbcr_from_rgb(rgb), *mixtures)).round().numpy().reshape(40, 30)
    assert (table.probability(picture) == expected).all()


def test_fit_repeats_to_the_byte_and_falls_back_on_predicted_segments(tmp_path: Path) -> None:
    write_crops(tmp_path, 3)
    _write_segments_from_truth(tmp_path)
    folders = [tmp_path / name for name in ("aligned", "segments", "truth")]
    for name in ("a.json", "b.json"):
        fit_skin(*folders, tmp_path / name, params=FIT)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    write_rows(tmp_path / "truth", pd.DataFrame())
    fit_skin(*folders, tmp_path / "c.json", params=FIT)
    assert json.loads((tmp_path / "c.json").read_text())["from"] == "predicted segments"


def test_too_few_pixels_are_an_error(tmp_path: Path) -> None:
    write_crops(tmp_path, 1)
    _write_segments_from_truth(tmp_path)
    folders = [tmp_path / name for name in ("aligned", "segments", "truth")]
    with pytest.raises(ValueError, match=r"fit_skin: .* too few"):
        fit_skin(*folders, tmp_path / "a.json", params=FIT.model_copy(update={"pixels": 10}))


def test_opening_is_the_largest_gap_between_the_lips() -> None:
    assert mouth_opening(toy_landmarks(opening=6.0)) == pytest.approx(6.0)
    assert mouth_opening(toy_landmarks(opening=0.0)) == pytest.approx(0.0)


def test_open_mouth_is_the_polygon_of_the_inner_lips() -> None:
    landmarks = toy_landmarks(opening=8.0)
    landmarks[60:68] = [(20, 40), (25, 36), (32, 36), (39, 36), (44, 40), (39, 44), (32, 44), (25, 44)]
    mask = mouth_mask(landmarks, NOTHING, 2.0)
    assert (
        mask[36:44, 32].all() and not mask[[35, 44], 32].any()
    )  # centres 36.5 to 43.5 lie inside, 35.5 and 44.5 outside
    area = 14 * 8 + 2 * 5 * 8 / 2
    assert mask.sum() == pytest.approx(area, rel=0.05)


def test_a_few_pixels_between_closed_lips_are_no_open_mouth() -> None:
    landmarks = toy_landmarks(opening=1.0)
    line = np.zeros((CROP, CROP), np.uint8)
    row, columns = round(float(landmarks[60:68, 1].mean())), slice(*landmarks[[60, 64], 0].round().astype(int))
    line[row, columns] = SEGMENT_INDEX["inner_mouth"]
    assert not mouth_mask(landmarks, line, 2.0).any()
    assert mouth_mask(landmarks, line, 0.5).any()


def test_lips_a_little_apart_need_the_segmentation_to_open() -> None:
    """Landmarks of closed mouths gape a little; those that are wide apart open the mouth alone."""
    assert not mouth_mask(toy_landmarks(opening=4.0), NOTHING, 2.0).any()
    assert mouth_mask(toy_landmarks(opening=6.0), NOTHING, 2.0).any()


def test_mean_gap_is_the_area_over_the_width() -> None:
    landmarks = toy_landmarks()
    landmarks[60], landmarks[64] = (20, 40), (44, 40)
    mouth = np.zeros((CROP, CROP), bool)
    mouth[38:41, 20:44] = True
    assert mean_gap(mouth, landmarks) == pytest.approx(3.0)


def test_segments_add_mouth_between_the_outer_lips_only() -> None:
    landmarks = toy_landmarks(opening=6.0)
    everything = np.full((CROP, CROP), SEGMENT_INDEX["inner_mouth"], np.uint8)
    alone, both = mouth_mask(landmarks, NOTHING, 2.0), mouth_mask(landmarks, everything, 2.0)
    assert alone.sum() < both.sum() < 3 * alone.sum()
    assert both[alone].all()


def test_quality_of_perfect_segments_and_of_landmarks_off_by_one_pixel(labels: Path, tmp_path: Path) -> None:
    mouth = MouthParams(minimum_opening_px=2.0)
    measure_labels(labels, labels / "truth", tmp_path / "labels.json", crop_size=CROP, mouth=mouth)
    result = json.loads((tmp_path / "labels.json").read_text())
    box = np.sqrt(np.ptp(toy_landmarks(), axis=0).prod())
    assert result["landmarks"]["all_nme"]["mean"] == pytest.approx(100 * np.sqrt(2) / box, rel=1e-5)
    assert result["landmarks"]["all_nme"]["count"] == result["segments"]["count"] == 9
    assert result["segments"]["face_iou"] == 1
    assert result["alignment"]["five_point_error"]["mean"] == pytest.approx(0, abs=1e-6)
    assert result["mouth"]["open_recall"]["mean"] == 1
    assert result["skin"]["dark"]["recall"] > 0.9
    assert result["photographs"] == {
        "kept": 9,
        "rejected": 0,
        "synthetic_detected": 1.0,
        "landmarks_by": {"own": 9},
    }


def test_quality_without_truth_still_counts(tmp_path: Path, labels: Path) -> None:
    write_rows(tmp_path / "truth", pd.DataFrame())
    with ShardWriter(tmp_path / "truth", keys_per_shard=1):
        pass
    mouth = MouthParams(minimum_opening_px=2.0)
    measure_labels(labels, tmp_path / "truth", tmp_path / "labels.json", crop_size=CROP, mouth=mouth)
    result = json.loads((tmp_path / "labels.json").read_text())
    assert result["photographs"]["kept"] == 9
    assert result["segments"]["count"] == 0
    assert np.isnan(result["segments"]["face_iou"])


def test_sheet_repeats_to_the_byte(labels: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_labels(labels, tmp_path / name, examples=2)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_masks_are_stored_as_zero_and_full(labels: Path) -> None:
    reader = ShardReader(labels / "mouth")
    assert {int(value) for key in reader.keys for value in np.unique(decode(reader.read(key, "png")))} == {0, 255}
    assert encode_png(NOTHING) != reader.read(reader.keys[0], "png")
