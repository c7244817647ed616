"""Gradient steps on the coefficients of toy photographs."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import default_collate

from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.losses import total_loss
from models.networks.regressor import neutral_coefficients
from models.scores import truth_errors
from pipelines.dataset import Batch, LabelledCrops, prepare
from pipelines.objective import Objective
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.refinement import Refined, refine, total_of_each
from pipelines.variants import modelled
from tests.label_tree import CAMERA, SIZE, SIZES, write_label_tree
from tests.toy import toy_face_arrays
from tests.training_process import toy_train_params

COUNT = 4


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    write_label_tree(root, COUNT)
    return root


@pytest.fixture(scope="module")
def truth(root: Path) -> Coefficients:
    return write_label_tree(root / "again", COUNT)


@pytest.fixture(scope="module")
def batch(root: Path) -> Batch:
    crops = LabelledCrops(root / "labels", [f"face-{n}" for n in range(COUNT)], load_features(root / "labels/features"))
    return Batch(*default_collate([crops[index] for index in range(COUNT)]))


@pytest.fixture(scope="module")
def objective(root: Path) -> Objective:
    model = FaceModel(toy_face_arrays())
    return Objective(model, load_recognizer(root / "recognizer"), CAMERA, SIZE, toy_train_params(), "full")


@pytest.fixture(scope="module")
def refined(batch: Batch, objective: Objective) -> Refined:
    return refine(neutral_coefficients(SIZES, COUNT), batch, objective, steps=12, learning_rate=0.1)


def _rows(coefficients: Coefficients, wanted: slice) -> Coefficients:
    return Coefficients(*(group[wanted] for group in coefficients))


def test_a_control_is_refined_without_highlight(root: Path, batch: Batch) -> None:
    model, recognizer = FaceModel(toy_face_arrays()), load_recognizer(root / "recognizer")
    control = Objective(model, recognizer, CAMERA, SIZE, toy_train_params(), "wsl_control")
    start = modelled(neutral_coefficients(SIZES, COUNT), "wsl_control")
    found = refine(start, batch, control, steps=4, learning_rate=0.1)
    assert found.improved.all() and not found.coefficients.light_strength.any()


def test_every_photograph_gets_nearer_to_its_labels_and_the_truth(
    refined: Refined, batch: Batch, objective: Objective, truth: Coefficients
) -> None:
    assert refined.improved.all()
    assert (refined.after < 0.9 * refined.before).all()
    totals = total_of_each(refined.coefficients, batch, prepare(batch, SIZE), objective)
    torch.testing.assert_close(totals, refined.after)
    visible = ~objective.model.region_mask("inner_mouth")
    before = truth_errors(objective.model, neutral_coefficients(SIZES, COUNT), truth, visible)
    after = truth_errors(objective.model, refined.coefficients, truth, visible)
    assert after.diffuse.mean() < before.diffuse.mean()
    assert after.pose.mean() < before.pose.mean()


def test_totals_of_photographs_average_to_that_of_their_batch(batch: Batch, objective: Objective) -> None:
    prepared, neutral = prepare(batch, SIZE), neutral_coefficients(SIZES, COUNT)
    totals = total_of_each(neutral, batch, prepared, objective)
    losses, _ = objective(neutral, batch, prepared)
    torch.testing.assert_close(totals.mean(), total_loss(losses, objective.weights))
    assert totals.unique().numel() == COUNT


def test_a_photograph_alone_goes_as_it_goes_beside_others(refined: Refined, batch: Batch, objective: Objective) -> None:
    one = slice(2, 3)
    alone = refine(
        neutral_coefficients(SIZES, 1), Batch(*(part[one] for part in batch)), objective, steps=12, learning_rate=0.1
    )
    for name, group, beside in zip(
        Coefficients._fields, alone.coefficients, _rows(refined.coefficients, one), strict=True
    ):
        # Adam divides by the size of the gradient, so that differences in rounding grow.
        scale = 1 if name not in ("light_position", "shininess", "translation") else 100
        torch.testing.assert_close(group, beside, atol=1e-3 * scale, rtol=1e-3, msg=lambda text, n=name: f"{n}: {text}")


def test_a_photograph_without_a_finite_gradient_keeps_its_start_and_disturbs_no_other(
    refined: Refined, batch: Batch, objective: Objective
) -> None:
    features, neutral = batch.features.clone(), neutral_coefficients(SIZES, COUNT)
    features[1] = torch.nan
    broken = refine(neutral, batch._replace(features=features), objective, steps=12, learning_rate=0.1)
    assert broken.improved.tolist() == [True, False, True, True]
    for group, other, start in zip(broken.coefficients, refined.coefficients, neutral, strict=True):
        assert torch.equal(group[1], start[1])
        for index in (0, 2, 3):
            torch.testing.assert_close(group[index], other[index])


def test_an_answer_that_is_not_finite_is_handed_back(batch: Batch, objective: Objective) -> None:
    start = neutral_coefficients(SIZES, COUNT)
    start.shape[0] = torch.nan
    found = refine(start, batch, objective, steps=6, learning_rate=0.05)
    assert found.improved.tolist() == [False, True, True, True]
    assert found.coefficients.shape[0].isnan().all() and found.before[0].isnan()
    assert all(group[1:].isfinite().all() for group in found.coefficients)


def test_steps_that_make_it_worse_are_taken_back(batch: Batch, objective: Objective, truth: Coefficients) -> None:
    found = refine(truth, batch, objective, steps=1, learning_rate=20.0)
    assert not found.improved.any()
    assert all(torch.equal(group, start) for group, start in zip(found.coefficients, truth, strict=True))
    assert torch.equal(found.after, found.before)
