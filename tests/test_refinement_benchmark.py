"""The benchmark of the refinement measures what it names, on toy data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import refinement
from models.coefficients import Coefficients
from models.face_model import FaceModel
from pipelines.objective import Objective
from pipelines.params import Params
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.regression_network import build_regressor, save_regressor
from pipelines.shards import ShardReader, ShardWriter, decode, encode_png
from tests.label_tree import CAMERA, SIZE, random_faces, smoke_params, write_label_tree
from tests.toy import toy_face_arrays
from tests.training_process import toy_regressor_params, toy_train_params

COUNT = 4
CLOSED, OPEN = 0, 3  # their mouths


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy labels with true segments and a network, laid out as the data of a finished run."""
    data = tmp_path_factory.mktemp("data")
    write_label_tree(data, COUNT)
    labelled = ShardReader(data / "labels/segments")
    with ShardWriter(data / "truth", keys_per_shard=4) as writer:
        for key in labelled.keys:
            writer.write(key, {"segments.png": encode_png(decode(labelled.read(key, "png")))})
    (data / "weights").mkdir()
    (data / "weights/recognizer").symlink_to(data / "recognizer")
    torch.manual_seed(0)
    regressor = toy_regressor_params()
    network = build_regressor(regressor, FaceModel(toy_face_arrays()), None)
    save_regressor(data / "weights/regressor/full", network, regressor, pd.DataFrame({"step": []}), {})
    return data


def _params() -> Params:
    params = smoke_params()
    camera = params.camera.model_copy(update={"crop_size": SIZE})
    return params.model_copy(update={"camera": camera, "train": toy_train_params()})


def _known(data: Path) -> refinement.Known:
    rows = refinement.chosen_rows(data, "train", COUNT)
    return refinement.load_known(data, rows, load_features(data / "labels/features"), 2.5)


def _objective(data: Path) -> Objective:
    recognizer = load_recognizer(data / "recognizer")
    return Objective(FaceModel(toy_face_arrays()), recognizer, CAMERA, SIZE, toy_train_params(mouth_samples=1), "full")


def test_the_truth_has_no_errors(data: Path) -> None:
    found = refinement.measures(_objective(data), random_faces(COUNT), _known(data))
    overlap = found.pop(refinement.HIGHER_IS_BETTER)
    assert overlap[CLOSED].isnan() and overlap[OPEN] == 1
    assert found.pop("colour error (Table 1)").max() < 0.05  # JPEG
    for name, value in found.items():
        torch.testing.assert_close(
            value, torch.zeros(COUNT), atol=2e-2, rtol=0, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_a_wrong_answer_has_errors_everywhere(data: Path) -> None:
    wrong = Coefficients(*(group.flip(0) for group in random_faces(COUNT, seed=1)))
    found = refinement.measures(_objective(data), wrong, _known(data))
    assert found[refinement.HIGHER_IS_BETTER][OPEN] < 0.9
    for name, value in found.items():
        assert name == refinement.HIGHER_IS_BETTER or (value > 1e-3).all(), name


def test_overlaps_and_landmark_errors_by_hand() -> None:
    wanted = torch.tensor([[[1, 1, 0]], [[0, 0, 0]]]) == 1
    found = refinement.overlap(torch.tensor([[[0, 1, 1]], [[0, 1, 0]]]) == 1, wanted)
    assert found[0] == pytest.approx(1 / 3) and found[1].isnan()
    box = torch.zeros(1, 68, 2)
    box[0, 0] = torch.tensor([40.0, 10.0])  # root of the area: 20
    assert refinement.normalised_error(box + torch.tensor([3.0, 4.0]), box).item() == pytest.approx(25)


def test_every_photograph_is_measured_before_and_after(data: Path) -> None:
    rows = refinement.chosen_rows(data, "train", 3)
    assert len(rows) == 3 and {"face-0", "face-3"} <= set(rows["key"])
    found = refinement.refinements(data, rows, _params(), steps=3, rate=0.05, batch_size=2)
    assert found.before.shape == found.after.shape == (3, 12)
    assert (found.after["total loss"] <= found.before["total loss"]).all()
    assert not np.allclose(found.after["total loss"], found.before["total loss"])
    assert found.refine_seconds > 0 and found.network_seconds > 0


def test_a_split_without_truth_is_refused(data: Path) -> None:
    with pytest.raises(SystemExit, match="expected synthetic photographs with truth in the split 'validation'"):
        refinement.chosen_rows(data, "validation", 3)


def test_lines_count_what_became_better() -> None:
    overlap = refinement.HIGHER_IS_BETTER
    before = pd.DataFrame({"pose (°)": [2.0, 4.0, 6.0], overlap: [0.5, 0.5, np.nan]})
    after = pd.DataFrame({"pose (°)": [1.0, 4.0, 7.0], overlap: [0.4, 0.7, np.nan]})
    pose, mouth = refinement.table_lines(before, after)
    assert pose.split() == ["pose", "(°)", "4", "4", "1", "of", "3"]
    assert mouth.split()[-5:] == ["0.5", "0.55", "1", "of", "2"]
