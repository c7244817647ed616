"""Scores split by skin tone and by yaw, and where the yaw of a sample comes from."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.io import savemat

from models.face_model import FaceModel
from models.renderer import landmark_pixels, pose_face
from pipelines.benchmarks.common import Sample
from pipelines.benchmarks.twin_scale import crop_pixels_per_mm
from pipelines.score_splits import YAWS, by_skin_tone, by_yaw, landmark_yaws, true_yaws
from pipelines.scoring import SCORE_COLUMNS
from tests.label_tree import CAMERA, SIZE, random_faces
from tests.toy import toy_face_arrays


def scores(*samples: str) -> pd.DataFrame:
    rows = [("full", "test", sample, float(number), "ok") for number, sample in enumerate(samples)]
    return pd.DataFrame(rows, columns=SCORE_COLUMNS)


def grouped(split: pd.DataFrame) -> dict[str, list[float]]:
    return {str(name): list(values) for name, values in split.groupby("column")["value"]}


def marked(sample: str, points: torch.Tensor) -> Sample:
    return Sample(sample, sample, "all", True, False, (sample,), "", tuple(points.flatten().tolist()), math.nan)


def test_skin_tones_are_split_into_terciles_of_samples() -> None:
    split = by_skin_tone(scores(*(f"s{n}" for n in range(6)), "real"), {f"s{n}": 10.0 * n for n in range(6)})
    wanted = {"test_dark": [0.0, 1.0], "test_medium": [2.0, 3.0], "test_light": [4.0, 5.0]}
    assert grouped(split) == wanted
    assert by_skin_tone(scores("s0"), {}).empty
    assert by_skin_tone(scores("s0"), {"s0": math.nan}).empty


def test_terciles_do_not_depend_on_how_many_rows_and_columns_a_sample_has() -> None:
    once = scores(*(f"s{n}" for n in range(6)))
    twice = pd.concat([once, once[:2].assign(row="no_id"), once[:2].assign(column="other")])
    split = by_skin_tone(twice, {f"s{n}": 10.0 * n for n in range(6)})
    assert grouped(split[split["row"] == "full"])["test_light"] == [4.0, 5.0]
    assert set(split.loc[split["row"] == "no_id", "column"]) == {"test_dark"}


def test_yaws_are_binned_by_how_far_the_head_is_turned_to_either_side() -> None:
    yaws = {"s0": -14.9, "s1": 15.0, "s2": -31.0, "s3": 75.0, "s4": 0.0}
    split = by_yaw(scores("s0", "s1", "s2", "s3", "s4", "real"), yaws)
    assert grouped(split) == {"test_yaw0": [0.0, 4.0], "test_yaw15": [1.0], "test_yaw30": [2.0], "test_yaw60": [3.0]}
    assert YAWS == ("yaw0", "yaw15", "yaw30", "yaw60")
    assert by_yaw(scores("real"), yaws).empty


def test_the_true_yaw_is_the_second_angle_in_degrees() -> None:
    truth = pd.DataFrame({"euler_angles": [[0.3, math.radians(-40), 0.1], [0.0, 0.5, 0.2]]}, index=["a", "b"])
    assert true_yaws(truth) == pytest.approx({"a": -40.0, "b": math.degrees(0.5)}, rel=1e-5)
    assert true_yaws(truth.iloc[:0]) == {}


def test_the_yaw_of_the_true_landmarks_is_that_of_the_face() -> None:
    model, faces = FaceModel(toy_face_arrays()), random_faces(3)
    angles = torch.tensor([[0.1, math.radians(yaw), -0.1] for yaw in (-35.0, 5.0, 25.0)])
    posed = faces._replace(euler_angles=angles, shape=0 * faces.shape, expression=0 * faces.expression)
    points = landmark_pixels(model, pose_face(model, posed, CAMERA), SIZE)
    samples = [marked(f"s{n}", one) for n, one in enumerate(points)]
    unmarked = Sample("none", "none", "all", True, False, (), "", (), math.nan)
    found = landmark_yaws([*samples, unmarked], model=model, camera=CAMERA, crop_size=SIZE)
    assert found == pytest.approx({"s0": -35.0, "s1": 5.0, "s2": 25.0}, abs=0.1)
    assert landmark_yaws([unmarked], model=model, camera=CAMERA, crop_size=SIZE) == {}


def test_the_scale_of_a_twin_follows_the_crop(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(20, 200, (68, 2))
    pose = np.array([[0.1, 0.2, 0.3, 5.0, 6.0, 0.0, 0.8]])
    (tmp_path / "raw").mkdir()
    fields = {"pt3d_68": np.concatenate([points, np.zeros((68, 1))], axis=1).T, "Pose_Para": pose}
    savemat(tmp_path / "raw/image00002.mat", fields)
    turned = 1.5 * points @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + 7.0
    seen = marked("image00002", torch.from_numpy(turned))
    unseen = Sample("image00003", "x", "all", True, False, (), "", (), math.nan)
    assert crop_pixels_per_mm(tmp_path, [seen, unseen]) == pytest.approx({"image00002": 1.2})


def test_real_data_have_no_scale(tmp_path: Path) -> None:
    assert crop_pixels_per_mm(tmp_path, [marked("image00002", torch.rand(68, 2))]) == {}
