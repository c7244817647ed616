"""What variants leave out: a loss each, and the control the highlight and the inner mouth."""

from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.losses import Losses, photometric_loss, total_loss
from models.renderer import diffuse_picture, full_picture
from pipelines.dataset import Batch, LabelledCrops, prepare
from pipelines.objective import Objective
from pipelines.params import LOSS_NAMES, Variant
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.variants import LEFT_OUT, modelled, variant_full_weight, variant_weights
from tests.label_tree import CAMERA, SIZE, random_faces, write_label_tree
from tests.toy import toy_face_arrays
from tests.training_process import toy_train_params, train_toy

COUNT = 6
VARIANTS: tuple[Variant, ...] = get_args(Variant)
WITH_HIGHLIGHT = tuple(variant for variant in VARIANTS if variant != "wsl_control")
WEIGHTS = toy_train_params().weights.model_dump()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    write_label_tree(root, COUNT)
    return root


@pytest.fixture(scope="module")
def batch(root: Path) -> Batch:
    crops = LabelledCrops(root / "labels", [f"face-{n}" for n in range(COUNT)], load_features(root / "labels/features"))
    return Batch(*default_collate([crops[index] for index in range(COUNT)]))


def _objective(root: Path, variant: Variant) -> Objective:
    recognizer = load_recognizer(root / "recognizer")
    return Objective(FaceModel(toy_face_arrays()), recognizer, CAMERA, SIZE, toy_train_params(), variant)


def test_it_is_said_of_every_variant() -> None:
    singles = {f"no_{name}" for name in LOSS_NAMES}
    assert set(LEFT_OUT) == set(VARIANTS) == {"full", "no_lmk_mouth", "wsl_control", *singles}


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_a_row_of_the_ablation_has_one_weight_at_zero_and_nothing_else(name: str) -> None:
    variant: Variant = f"no_{name}"  # type: ignore[assignment]
    assert variant_weights(toy_train_params(), variant) == {**WEIGHTS, name: 0.0}
    assert variant_full_weight(toy_train_params(), variant) == toy_train_params().full_weight > 0


def test_the_joint_row_of_table_2_has_two_weights_at_zero() -> None:
    assert variant_weights(toy_train_params(), "no_lmk_mouth") == {**WEIGHTS, "lmk": 0.0, "mouth": 0.0}


def test_the_full_variant_leaves_nothing_out() -> None:
    assert variant_weights(toy_train_params(), "full") == WEIGHTS
    assert variant_full_weight(toy_train_params(), "full") == toy_train_params().full_weight


def test_the_control_has_no_mouth_term_and_compares_the_diffuse_picture_alone() -> None:
    assert variant_weights(toy_train_params(), "wsl_control") == {**WEIGHTS, "mouth": 0.0}
    assert variant_full_weight(toy_train_params(), "wsl_control") == 0.0


@pytest.mark.parametrize("variant", WITH_HIGHLIGHT)
def test_other_variants_take_what_the_network_says(variant: Variant) -> None:
    faces = random_faces(2)
    assert modelled(faces, variant) is faces


def test_every_light_of_the_control_is_off() -> None:
    faces = random_faces(2)._replace(light_strength=torch.tensor([[1.0, 0.3], [1.0, 0.0]]))
    found = modelled(faces, "wsl_control")
    assert not found.light_strength.any() and found.light_strength.shape == (2, 2)
    for name in set(Coefficients._fields) - {"light_strength"}:
        assert getattr(found, name) is getattr(faces, name)


@pytest.mark.parametrize("variant", ["full", "no_mouth", "no_uniform"])
def test_variants_with_highlight_have_the_same_losses_to_the_bit(root: Path, batch: Batch, variant: Variant) -> None:
    prepared, guess = prepare(batch, SIZE), random_faces(COUNT, seed=1)
    losses, rendering = _objective(root, variant)(modelled(guess, variant), batch, prepared)
    photo = photometric_loss(
        prepared.image,
        diffuse_picture(rendering),
        full_picture(rendering),
        mask=prepared.face * rendering.coverage,
        skin_probability=prepared.skin,
        full_weight=toy_train_params().full_weight,
    )
    assert losses.photo == photo
    full, _ = _objective(root, "full")(guess, batch, prepared)
    assert torch.equal(torch.stack(losses), torch.stack(full))


def test_the_control_draws_no_highlight_and_learns_nothing_about_it(root: Path, batch: Batch) -> None:
    guess, prepared = random_faces(COUNT, seed=1), prepare(batch, SIZE)
    for group in guess:
        group.requires_grad_()
    objective = _objective(root, "wsl_control")
    losses, rendering = objective(modelled(guess, "wsl_control"), batch, prepared)
    assert not rendering.specular.any() and rendering.diffuse.max() > 0.1
    mask = prepared.face * rendering.coverage
    picture = diffuse_picture(rendering)
    assert losses.photo == photometric_loss(prepared.image, picture, picture, mask, prepared.skin, full_weight=0.0)
    total_loss(losses, objective.weights).backward()
    moved = {name for name, group in guess._asdict().items() if group.grad is not None and group.grad.any()}
    assert moved == set(Coefficients._fields) - {"light_position", "light_strength", "shininess"}


def test_the_control_is_trained_without_mouth_and_its_sheet_shows_no_highlight(root: Path, tmp_path: Path) -> None:
    params = toy_train_params(iterations=2)
    train_toy(root, tmp_path, params, variant="wsl_control")
    history = pd.read_csv(tmp_path / "history.csv")
    for _, row in history.iterrows():
        terms = [weight * row[name] for name, weight in WEIGHTS.items() if name != "mouth"]
        assert row["total"] == pytest.approx(sum(terms), rel=1e-5)
    assert (history["mouth"] > 0).all() and set(Losses._fields) <= set(history)
    with Image.open(tmp_path / "sheets/step-000002.png") as sheet:
        columns = np.asarray(sheet).reshape(4, SIZE, 6, SIZE, 3).transpose(2, 0, 1, 3, 4)
    _, full, diffuse, specular, *_ = columns
    assert not specular.any() and diffuse.max() > 100
    np.testing.assert_array_equal(full, diffuse)
