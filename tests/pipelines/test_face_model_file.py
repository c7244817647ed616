import dataclasses
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from models.face_model import FaceModelArrays, Sampling
from pipelines.face_model_file import load_face_model, load_face_model_arrays, save_face_model
from tests.toy import toy_face_arrays


@pytest.fixture(scope="module")
def arrays() -> FaceModelArrays:
    return toy_face_arrays()


def test_what_is_saved_is_loaded(tmp_path: Path, arrays: FaceModelArrays) -> None:
    save_face_model(tmp_path / "new" / "toy.h5", arrays)
    loaded = load_face_model_arrays(tmp_path / "new" / "toy.h5")
    assert loaded.source == "toy"
    for field in dataclasses.fields(FaceModelArrays):
        if field.name not in ("source", "sampling"):
            before, after = getattr(arrays, field.name), getattr(loaded, field.name)
            np.testing.assert_array_equal(before, after)
            assert before.dtype == after.dtype
    assert loaded.sampling.action_names == arrays.sampling.action_names
    for name in ("action_coefficients", "albedo_bank", "hair_rgb"):
        np.testing.assert_array_equal(getattr(loaded.sampling, name), getattr(arrays.sampling, name))


def test_a_model_that_cannot_draw_people_is_loaded(tmp_path: Path, arrays: FaceModelArrays) -> None:
    save_face_model(tmp_path / "toy.h5", dataclasses.replace(arrays, sampling=Sampling()))
    loaded = load_face_model_arrays(tmp_path / "toy.h5")
    assert loaded.sampling.action_names == () and loaded.sampling.albedo_bank.size == 0


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path, arrays: FaceModelArrays) -> None:
    save_face_model(tmp_path / "first.h5", arrays)
    time.sleep(1.1)  # HDF5's own time stamps count seconds
    save_face_model(tmp_path / "second.h5", arrays)
    assert (tmp_path / "first.h5").read_bytes() == (tmp_path / "second.h5").read_bytes()


def test_another_format_is_refused(tmp_path: Path, arrays: FaceModelArrays) -> None:
    save_face_model(tmp_path / "toy.h5", arrays)
    with h5py.File(tmp_path / "toy.h5", "a") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(ValueError, match="expected face model format 1, got 99"):
        load_face_model_arrays(tmp_path / "toy.h5")


def test_a_missing_file_names_the_stage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the stage face_model first"):
        load_face_model(tmp_path / "toy.h5")


def test_the_module_has_the_sizes_of_the_file(tmp_path: Path, arrays: FaceModelArrays) -> None:
    save_face_model(tmp_path / "toy.h5", arrays)
    model = load_face_model(tmp_path / "toy.h5")
    assert (model.shape_size, model.expression_size, model.albedo_size) == (6, 5, 4)
