"""The one way to every face model; the readers have tests of their own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.face_model import FaceModelArrays
from pipelines.morphable_models import build
from pipelines.morphable_models.assembly import Albedo, ReadModel
from pipelines.params import FaceModelParams
from tests.label_tree import smoke_params
from tests.toy import toy_face_arrays


@pytest.fixture
def params(tmp_path: Path) -> FaceModelParams:
    return smoke_params().face_model.model_copy(update={"source": "ict", "root": str(tmp_path)})


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> FaceModelArrays:
    """The toy face, which also stands in for the embedded one, whose build takes its time."""
    arrays = toy_face_arrays()
    monkeypatch.setattr(build, "build_embedded_face", lambda params: replace(arrays, source="embedded"))
    return arrays


def _read(toy: FaceModelArrays) -> ReadModel:
    return ReadModel(
        source="ict",
        mean_shape=toy.mean_shape,
        shape_basis=toy.shape_basis,
        expression_basis=toy.expression_basis,
        triangles=toy.triangles,
        landmark_vertices=toy.landmark_vertices.astype(np.int64),
        mouth_triangles=toy.mouth_triangles,
    )


def _reads(monkeypatch: pytest.MonkeyPatch, read: ReadModel, albedo: Albedo | None) -> None:
    monkeypatch.setitem(build._READERS, "ict", lambda root: (read, albedo))


def test_the_embedded_model_needs_no_files(params: FaceModelParams, toy: FaceModelArrays) -> None:
    assert build.build_face_model(params.model_copy(update={"source": "embedded"})).source == "embedded"


def test_a_model_without_albedo_borrows_it(
    params: FaceModelParams, toy: FaceModelArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    _reads(monkeypatch, _read(toy), None)
    arrays = build.build_face_model(params)
    assert arrays.source == "ict"
    np.testing.assert_allclose(arrays.mean_diffuse, toy.mean_diffuse, atol=1e-3)
    np.testing.assert_allclose(arrays.sampling.albedo_bank, toy.sampling.albedo_bank)


def test_a_model_without_specular_albedo_borrows_its_mean(
    params: FaceModelParams, toy: FaceModelArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = np.zeros_like(toy.mean_specular), np.zeros_like(toy.diffuse_basis)
    _reads(monkeypatch, _read(toy), Albedo(toy.mean_diffuse / 2, toy.diffuse_basis, *zeros))
    arrays = build.build_face_model(params)
    np.testing.assert_allclose(arrays.mean_diffuse, toy.mean_diffuse / 2)
    np.testing.assert_allclose(arrays.mean_specular, toy.mean_specular, atol=1e-3)
    assert not arrays.specular_basis.any()


@pytest.mark.parametrize("source", ["bfm2017", "bfm2009", "ict", "flame", "gnm"])
def test_a_missing_file_says_where_to_get_it(params: FaceModelParams, source: str) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{source}: no .* in face_model\.root \(.*\); .{{20,}}"):
        build.build_face_model(params.model_copy(update={"source": source}))
