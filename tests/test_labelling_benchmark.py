"""The benchmark of the labelling chain measures what it says, on toy data."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from benchmarks import labelling
from pipelines.labelling.detection import Face
from pipelines.labelling.skin_mixture import fit_skin
from pipelines.params import FitSkinParams
from tests.label_folders import train_toy_landmarks, train_toy_segmenter, write_crops, write_photographs
from tests.label_tree import smoke_params


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two copies of a real photograph, toy crops, and networks that hardly learned."""
    root = tmp_path_factory.mktemp("data")
    write_crops(root, 3)
    aligned, truth, weights = root / "aligned", root / "truth", root / "weights"
    (root / "labels").mkdir()
    train_toy_segmenter(root, "weights/segmenter")
    train_toy_landmarks(root, "weights/landmarks")
    fit = FitSkinParams(mixtures="fitted", components=2, pixels=2000, skin_prior=0.5, seed=1)
    fit_skin(aligned, aligned, truth, weights / "skin.json", params=fit)
    aligned.rename(root / "labels/aligned")
    person = skimage.data.astronaut()[:256, 96:352]
    write_photographs(root / "photographs", {"a": person, "b": person[:, ::-1]})
    return root


def test_plain_and_fast_labels_agree(data: Path) -> None:
    params = smoke_params()
    skin = labelling.skin_lines(data, 2, rounds=1)
    lines = [*skin, *labelling.segmentation_lines(data, params, 2, rounds=1)]
    lines += labelling.landmark_lines(data, params, 2, rounds=1)
    measured = {line.name: line.measured for line in lines}
    assert measured["skin: pixels with another 8-bit value"] == 0
    assert measured["segmentation: share of equal labels"] > 0.9
    assert measured["landmarks: median shift (px)"] < 0.1
    assert all(np.isfinite(value) and value >= 0 for value in measured.values())


def test_chain_runs_from_photographs_to_mouths(data: Path) -> None:
    seconds, parts = labelling.chain_seconds(data, smoke_params(), count=2, rounds=1)
    assert list(seconds) == ["align", "segment", "skin", "landmarks", "mouth"]
    for stage, shares in parts.items():
        assert 0 < sum(shares.values()) <= seconds[stage]
    used = {stage: {part for part, value in shares.items() if value > 0} for stage, shares in parts.items()}
    assert {"network", "decode", "warp", "encode", "tar", "load", "parquet"} == used["align"]
    assert "network" in used["segment"] and "network" not in used["skin"]


def test_too_few_photographs_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected 3 photographs, got 2; .*--photographs"):
        labelling.copy_photographs(data / "photographs", tmp_path, 3, 2)


def test_a_face_is_found_where_its_points_are_near() -> None:
    points = np.array([[10.0, 10.0], [30.0, 10.0], [20.0, 20.0], [12.0, 30.0], [28.0, 30.0]])
    box = np.array([0.0, 0.0, 40.0, 40.0])
    near, far, unsure = (Face(box, sure, points + by) for sure, by in ((0.9, 2.0), (0.9, 5.0), (0.1, 0.0)))
    faces = [[near], [far], [unsure], []]
    assert labelling.recall(faces, np.stack([points] * 4), smoke_params()) == 0.25
