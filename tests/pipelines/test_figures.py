"""The figures, drawn from a data tree in miniature; the pictures must show something, and always the same."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.face_model import FaceModel
from models.icp import IcpSettings
from models.protocols import PROTOCOLS
from pipelines.params import BenchmarksParams
from pipelines.reporting.artist import Artist, neutral_coefficients, over_photograph
from pipelines.reporting.clip_errors import shown_methods
from pipelines.reporting.comparisons import ablation_figure, gallery_figure, mouth_figure, uniform_loss_figure
from pipelines.reporting.curves import network_curves, regressor_curves
from pipelines.reporting.error_maps import error_map_figure
from pipelines.reporting.face_model_sheet import face_model_figure
from pipelines.reporting.figures import FigureInputs, draw_figures
from pipelines.reporting.material import Material
from pipelines.reporting.predictions import Predictions, is_finite
from stages._params import load_params
from tests.tiny_tree import CAMERA, DIVERGED, SIZE, VARIANTS, write_tiny_tree
from tests.toy import toy_face_arrays

ROOT = Path(__file__).parents[2]
ICP = IcpSettings(iterations=10, kept_fraction=0.9)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    write_tiny_tree(root, toy_face_arrays())
    return root / "data"


@pytest.fixture(scope="module")
def artist() -> Artist:
    return Artist(FaceModel(toy_face_arrays()), CAMERA, SIZE)


@pytest.fixture(scope="module")
def material(data: Path) -> Material:
    return Material(data / "labels", data / "predictions", VARIANTS)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), float) / 255


def is_blank(picture: np.ndarray) -> bool:
    return float(picture.std()) < 0.02


def test_clay_is_grey_and_lit_from_the_upper_left(artist: Artist) -> None:
    clay = artist.clay(neutral_coefficients(artist.model))
    assert clay is not None and not is_blank(clay)
    face = clay[40:75, 30:82]
    assert np.ptp(face, axis=2).max() < 1e-4
    left, right = clay[56, 37:43].mean(), clay[56, 69:75].mean()
    assert left > right + 0.05


def test_the_rendering_replaces_only_the_face_of_the_photograph(artist: Artist) -> None:
    drawn = artist.draw(neutral_coefficients(artist.model))
    assert drawn is not None
    photograph = np.full((SIZE, SIZE, 3), 0.123, np.float32)
    composed = over_photograph(photograph, drawn)
    outside, inside = drawn.opacity[..., 0] == 0, drawn.opacity[..., 0] == 1
    assert (composed[outside] == photograph[0, 0]).all()
    assert 0.1 < inside.mean() < 0.9
    np.testing.assert_allclose(composed[inside], drawn.full[inside], atol=1e-6)


def test_outlines_over_a_photograph_are_no_brighter_than_both(artist: Artist) -> None:
    drawn = artist.draw(neutral_coefficients(artist.model))
    assert drawn is not None
    photograph = np.full((SIZE, SIZE, 3), 0.1, np.float32)
    edge = (drawn.opacity[..., 0] > 0) & (drawn.opacity[..., 0] < 1)
    assert edge.any()
    assert over_photograph(photograph, drawn)[edge].max() <= drawn.face.max() + 0.1
    assert over_photograph(photograph, drawn)[edge].max() < drawn.full[edge].max()  # which has white around the face


def test_the_sphere_shows_where_the_light_comes_from(artist: Artist) -> None:
    neutral = neutral_coefficients(artist.model)
    dark = neutral._replace(sh_coefficients=torch.zeros(1, 9, 3), light_position=torch.tensor([[[900.0, 0.0, 500.0]]]))
    sphere = artist.light_on_sphere(dark)
    assert sphere is not None
    brightest = np.unravel_index(np.argmax(np.where(sphere < 0.99, sphere, 0).mean(axis=2)), (SIZE, SIZE))
    assert brightest[1] > SIZE * 0.55


def test_a_diverged_prediction_is_no_picture(artist: Artist, data: Path) -> None:
    coefficients = Predictions(data / "predictions" / DIVERGED).of("000000")
    assert not is_finite(coefficients)
    assert artist.draw(coefficients) is None
    assert artist.clay(coefficients) is None
    assert artist.light_on_sphere(coefficients) is None


def test_predictions_name_what_is_missing(data: Path) -> None:
    with pytest.raises(FileNotFoundError, match="predict"):
        Predictions(data / "predictions/nobody")
    with pytest.raises(KeyError, match="nowhere"):
        Predictions(data / "predictions/full").of("nowhere")


def test_examples_are_people_and_real_photographs_are_kept_apart(material: Material) -> None:
    assert material.examples(5) == ["000000", "000001"]
    assert material.real_keys() == ["000002"]
    assert material.mouths(2)[0] == "000001"  # the tree opens mouths with the number of the key


def test_figures_need_the_full_variant(data: Path) -> None:
    with pytest.raises(ValueError, match="full"):
        Material(data / "labels", data / "predictions", ("no_id",))


@pytest.mark.parametrize("figure", [uniform_loss_figure, ablation_figure, mouth_figure, gallery_figure])
def test_comparisons_fill_every_column(figure, artist: Artist, material: Material, tmp_path: Path) -> None:
    figure(tmp_path / "figure.png", artist, material, 1)
    picture = pixels(tmp_path / "figure.png")
    columns = np.array_split(picture, 5, axis=1)
    assert not any(is_blank(column) for column in columns)
    assert picture.shape[1] > 700


def test_a_variant_that_is_not_trained_is_left_out(artist: Artist, data: Path, tmp_path: Path) -> None:
    only_full = Material(data / "labels", data / "predictions", ("full",))
    uniform_loss_figure(tmp_path / "narrow.png", artist, only_full, 1)
    everything = Material(data / "labels", data / "predictions", VARIANTS)
    uniform_loss_figure(tmp_path / "wide.png", artist, everything, 1)
    assert pixels(tmp_path / "narrow.png").shape[0] > pixels(tmp_path / "wide.png").shape[0]  # fewer, larger cells


def test_error_maps_are_brighter_for_the_mean_face(artist: Artist, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "figure6.png"
    folders = (data / "benchmarks/micc", data / "predictions")
    error_map_figure(path, artist, *folders, variants=VARIANTS, protocol=PROTOCOLS["paper"], icp=ICP, is_twin=True)
    picture = pixels(path)
    columns = [picture[:, start : start + 200] for start in (1245, 1480, 1715)]
    ours, control, mean_face = (column[np.ptp(column, axis=2) > 0.1].mean() for column in columns)
    assert ours < mean_face  # viridis: dark is near
    assert control == pytest.approx(ours, rel=1e-2)  # the two have one shape in this tree


def test_error_maps_leave_out_a_control_that_is_not_trained(artist: Artist, data: Path, tmp_path: Path) -> None:
    folders = (data / "benchmarks/micc", data / "predictions")
    for name, variants in (("with", VARIANTS), ("without", ("full", "no_id"))):
        path = tmp_path / f"{name}.png"
        error_map_figure(path, artist, *folders, variants=variants, protocol=PROTOCOLS["paper"], icp=ICP, is_twin=True)
    faces = [(pixels(tmp_path / f"{name}.png").min(axis=2) < 0.9).mean() for name in ("with", "without")]
    assert faces[0] != faces[1]
    assert shown_methods(("full", "no_id")) == {"full": "ours", "mean_face": "mean face"}


def test_the_same_data_give_the_same_bytes(artist: Artist, material: Material, data: Path, tmp_path: Path) -> None:
    digests = []
    for name in ("a", "b"):
        ablation_figure(tmp_path / name / "ablation.png", artist, material, 1)
        network_curves(tmp_path / name / "curves.png", data / "weights")
        files = sorted((tmp_path / name).iterdir())
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert digests[0] == digests[1]


def test_curves_survive_a_diverged_variant(data: Path, tmp_path: Path) -> None:
    history = data / "weights/regressor/no_lmk/history.csv"
    kept = history.read_text()
    history.write_text("\n".join([*kept.splitlines()[:4], "20,,,,,,,"]) + "\n")
    regressor_curves(tmp_path / "curves.png", data / "weights", VARIANTS)
    history.write_text(kept)
    assert not is_blank(pixels(tmp_path / "curves.png"))


def test_the_face_model_sheet_has_six_rows(artist: Artist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.reporting.face_model_sheet.COLUMNS", 3)
    face_model_figure(tmp_path / "sheet.png", artist)
    rows = np.array_split(pixels(tmp_path / "sheet.png"), 6)
    assert not any(is_blank(row) for row in rows)
    for people_or_light in rows[4:]:  # faces have colours, labels have none
        assert np.ptp(people_or_light, axis=2).max() > 0.1


def test_every_figure_is_drawn(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which figures there are; what they show is tested above, so drawing itself is left out."""
    written: list[str] = []
    figures = "pipelines.reporting.figures."
    for name in ("face_model", "uniform_loss", "ablation", "mouth", "error_map", "gallery"):
        monkeypatch.setattr(f"{figures}{name}_figure", lambda path, *rest, **options: written.append(path.name))
    for name in ("regressor", "network"):
        monkeypatch.setattr(f"{figures}{name}_curves", lambda path, *rest: written.append(path.name))
    params = load_params(ROOT / "params.yaml")
    assert isinstance(params.benchmarks, BenchmarksParams)
    folders = (data / name for name in ("face_model.h5", "labels", "benchmarks", "predictions", "weights"))
    draw_figures(
        FigureInputs(*folders),
        tmp_path,
        camera=params.camera,
        evaluate=params.evaluate,
        benchmarks=params.benchmarks,
        variants=VARIANTS,
        examples=1,
    )
    from pipelines.reporting.captions import CURVES, FACE_MODEL, PAPER_FIGURES

    assert sorted(written) == sorted(caption.file for caption in (*PAPER_FIGURES, *CURVES, FACE_MODEL))
