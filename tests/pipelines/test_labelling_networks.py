"""Training and inference of both labelling networks on toy crops, and FAN in their place."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from models.landmarks import MIRRORED
from models.networks.heatmaps import feature_maps
from models.networks.landmark_network import LandmarkNetwork
from models.segments import SEGMENT_INDEX
from pipelines.labelling import fan
from pipelines.labelling.landmark_labels import label_landmarks
from pipelines.labelling.segment_truth import rows_with_segments
from pipelines.labelling.segmentation import label_segments, load_segmenter
from pipelines.labelling.segmenter_encoder import begin_with_segmenter
from pipelines.params import LandmarksParams, SegmentParams, SegmentTruth
from pipelines.shards import ShardReader, decode, read_rows, write_rows
from pipelines.weights import HISTORY, WEIGHTS, read_description
from tests.label_folders import CROP, toy_landmarks, train_toy_landmarks, train_toy_segmenter, write_crops

OWN = LandmarksParams(network="own", batch_size=4, precision="fp32")


def test_segmenter_learns_and_labels_every_crop(tmp_path: Path) -> None:
    write_crops(tmp_path, 4)
    train_toy_segmenter(tmp_path, "weights", iterations=30, batch_size=4, learning_rate=3.0e-3)
    losses = pd.read_csv(tmp_path / "weights" / HISTORY)["loss"]
    assert losses.iloc[-5:].mean() < 0.7 * losses.iloc[:3].mean()
    memo = tmp_path / "memo"
    label_segments(
        tmp_path / "aligned",
        tmp_path / "weights",
        tmp_path / "segments",
        params=SegmentParams(batch_size=3, precision="fp32"),
        memo=memo,
    )
    reader = ShardReader(tmp_path / "segments")
    assert reader.keys == ShardReader(tmp_path / "aligned").keys == read_rows(tmp_path / "segments")["key"].tolist()
    masks = np.stack([decode(reader.read(key, "png")) for key in reader.keys])
    assert masks.shape == (4, CROP, CROP)
    assert (masks[:, 28:40, 28:40] == SEGMENT_INDEX["skin"]).mean() > 0.8


def test_training_repeats_to_the_byte(tmp_path: Path) -> None:
    write_crops(tmp_path, 3)
    for train, name in ((train_toy_segmenter, "s"), (train_toy_landmarks, "l")):
        for run in ("0", "1"):
            train(tmp_path, name + run)
        assert (tmp_path / f"{name}0" / WEIGHTS).read_bytes() == (tmp_path / f"{name}1" / WEIGHTS).read_bytes()


def test_landmark_network_starts_at_the_mean_face_and_gives_a_row_for_every_crop(tmp_path: Path) -> None:
    write_crops(tmp_path, 4)
    train_toy_landmarks(tmp_path, "weights", learning_rate=1.0e-4)  # two steps change little: the prior answers
    assert np.isfinite(pd.read_csv(tmp_path / "weights" / HISTORY)).all(axis=None)
    label_landmarks(
        tmp_path / "aligned", tmp_path / "weights", tmp_path / "landmarks", params=OWN, memo=tmp_path / "memo"
    )
    rows = read_rows(tmp_path / "landmarks")
    assert rows["key"].tolist() == ShardReader(tmp_path / "aligned").keys
    points = np.stack(rows["landmarks"].tolist()).reshape(-1, 68, 2)
    mirrored = toy_landmarks()[list(MIRRORED)] * [-1, 1] + [CROP, 0]
    mean_face = (toy_landmarks() + mirrored) / 2  # half of the crops were mirrored
    assert np.linalg.norm(points - mean_face, axis=-1).mean() < 0.05 * CROP
    assert rows["confidence"].map(len).eq(68).all()
    assert rows["network"].eq("own").all()


@pytest.mark.parametrize(
    ("wanted", "encoder", "begins"),
    [("auto", "resnet18", "segmenter"), ("auto", "resnet34", "scratch"), ("scratch", "resnet18", "scratch")],
)
def test_landmark_network_begins_as_the_segmenters_encoder_where_it_is_the_same(
    wanted: str, encoder: str, begins: str, tmp_path: Path
) -> None:
    write_crops(tmp_path, 2)
    train_toy_segmenter(tmp_path, "segmenter")
    still = 1.0e-9  # a rate that leaves the weights what they were
    train_toy_landmarks(tmp_path, "landmarks", encoder=encoder, initial_encoder=wanted, learning_rate=still)
    segmenter, landmarks = (load_file(tmp_path / name / WEIGHTS) for name in ("segmenter", "landmarks"))
    filters = "encoder.layer1.0.conv1.weight"
    same = torch.allclose(landmarks[filters], segmenter[f"network.{filters}"], atol=1e-6)
    assert same == (begins == "segmenter")
    assert read_description(tmp_path / "landmarks")["initialization"] == begins


def test_the_segmenters_encoder_sees_the_same_in_the_landmark_network(tmp_path: Path) -> None:
    write_crops(tmp_path, 2)
    train_toy_segmenter(tmp_path, "segmenter")
    network, crops = LandmarkNetwork("resnet18", 64).eval(), torch.rand(2, 3, 64, 64)
    assert begin_with_segmenter(network, "resnet18", tmp_path / "segmenter")
    with torch.inference_mode():
        expected = load_segmenter(tmp_path / "segmenter").network.encoder(crops)[2:]
        for ours, theirs in zip(feature_maps(network.encoder, crops), expected, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("train", "stage"), [(train_toy_segmenter, "train_segmenter"), (train_toy_landmarks, "train_landmarks")]
)
def test_real_photographs_alone_cannot_train(train: Any, stage: str, tmp_path: Path) -> None:
    write_crops(tmp_path, 2, synthetic=False)
    with pytest.raises(ValueError, match=rf"{stage}: no synthetic photograph with truth .* photographs\.source"):
        train(tmp_path, "weights")


@pytest.mark.parametrize(("kind", "numbers"), [("synthetic", [0, 1]), ("annotated", [2]), ("mix", [0, 1, 2])])
def test_the_segmenter_learns_from_the_truth_that_it_is_told(
    kind: SegmentTruth, numbers: list[int], tmp_path: Path
) -> None:
    write_crops(tmp_path, 3, annotated=1)
    aligned, truth = tmp_path / "aligned", tmp_path / "truth"
    assert rows_with_segments(aligned, truth, kind)["key"].tolist() == [f"face-{number:02d}" for number in numbers]
    train_toy_segmenter(tmp_path, "weights", truth=kind)
    description = read_description(tmp_path / "weights")
    assert (description["truth"], description["crops"]) == (kind, len(numbers))


def test_of_a_photograph_with_several_faces_the_annotation_is_not_used(tmp_path: Path) -> None:
    write_crops(tmp_path, 3, annotated=2)
    rows = read_rows(tmp_path / "aligned")
    again = rows.iloc[[1]].assign(key="face-01-1")
    write_rows(tmp_path / "aligned", pd.concat([rows, again]))
    assert rows_with_segments(tmp_path / "aligned", tmp_path / "truth", "annotated")["key"].tolist() == ["face-02"]


@pytest.mark.parametrize("kind", ["annotated", "mix"])
def test_without_annotated_photographs_their_truth_is_an_error(kind: SegmentTruth, tmp_path: Path) -> None:
    write_crops(tmp_path, 2)
    with pytest.raises(ValueError, match=rf"train_segmenter\.truth: {kind}, but no annotated photograph"):
        rows_with_segments(tmp_path / "aligned", tmp_path / "truth", kind)


@pytest.mark.parametrize("iterations", [1, 5])  # fewer than a cycle of learning rates has phases
def test_a_very_short_training_ends(iterations: int, tmp_path: Path) -> None:
    write_crops(tmp_path, 2)
    train_toy_landmarks(tmp_path, "weights", iterations=iterations)
    assert pd.read_csv(tmp_path / "weights" / HISTORY)["step"].iloc[-1] == iterations


def test_a_diverging_training_names_its_learning_rate(tmp_path: Path) -> None:
    write_crops(tmp_path, 2)
    with pytest.raises(ValueError, match=r"not finite at step \d+; lower train_landmarks\.learning_rate"):
        train_toy_landmarks(tmp_path, "weights", learning_rate=1.0e30, iterations=10)


class _FakeFaceAlignment:
    """Stands for face-alignment's network: landmarks at fixed fractions of the box it is given, whole pixels."""

    def __init__(self, landmarks_type: object, **options: object) -> None:
        assert options == {"device": "cpu", "compile": False, "face_detector": "folder"}

    def get_landmarks_from_image(self, picture: Any, *, detected_faces: Any, return_landmark_score: bool) -> Any:
        assert picture.dtype == np.uint8
        box = detected_faces[0]
        assert 0 < box[0] < box[2] < picture.shape[1] and 0 < box[1] < box[3] < picture.shape[0]
        points = np.floor(toy_landmarks() * picture.shape[0] / CROP).astype(np.float32)
        return [points], [torch.full((68,), 0.7)], None


def test_fan_labels_when_its_weights_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import face_alignment

    write_crops(tmp_path, 2)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(face_alignment, "FaceAlignment", _FakeFaceAlignment)
    monkeypatch.setattr(fan, "best_device", lambda: "cpu", raising=False)
    fan.weights_file().parent.mkdir()
    fan.weights_file().write_bytes(b"weights")
    label_landmarks(
        tmp_path / "aligned",
        tmp_path / "nothing",
        tmp_path / "landmarks",
        params=LandmarksParams(network="auto", batch_size=4, precision="auto"),
        memo=tmp_path / "memo",
    )
    rows = read_rows(tmp_path / "landmarks")
    assert rows["network"].eq("fan").all()
    points = np.stack(rows["landmarks"].tolist()).reshape(-1, 68, 2)
    np.testing.assert_allclose(points[0], toy_landmarks(), atol=0.126)  # a quarter of a pixel, rounded down, made whole
    assert rows["confidence"][0][0] == pytest.approx(0.7)


def test_missing_fan_weights_tell_where_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    write_crops(tmp_path, 1)
    with pytest.raises(FileNotFoundError, match=r"3DFAN4.*download .*landmarks\.network: own"):
        label_landmarks(
            tmp_path / "aligned",
            tmp_path / "nothing",
            tmp_path / "landmarks",
            params=LandmarksParams(network="fan", batch_size=4, precision="auto"),
            memo=tmp_path / "memo",
        )


def test_fan_network_loads_face_alignments_own_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real library builds its network from a file in the cache and labels a crop, all without a download."""
    from face_alignment import api
    from face_alignment.models import FAN

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("face_alignment.utils.get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(api, "FAN", lambda modules: FAN(1))  # one hourglass instead of four, for time
    fan.weights_file().parent.mkdir()
    torch.save(FAN(1).state_dict(), fan.weights_file())
    guess = fan.FanNetwork("cpu").locate(torch.rand(1, 3, CROP, CROP))
    assert guess.points.shape == (1, 68, 2)
    assert guess.confidence.shape == (1, 68)
