"""The variance of identities over people, and the method that sees nothing."""

import numpy as np
import pandas as pd
import torch

from models.coefficients import Coefficients
from pipelines.coefficients_file import coefficient_rows, coefficients_from_rows
from pipelines.identity_spread import spread_scores
from pipelines.mean_prediction import mean_prediction
from pipelines.truth import true_coefficients
from tests.label_tree import WHOLE_PICTURE, random_faces

KEYS = [f"{person}-{number}" for person in "abcd" for number in range(2)]
ROWS = pd.DataFrame({"key": KEYS, "identity": [key[0] for key in KEYS]})


def faces_of_four(shape: torch.Tensor) -> Coefficients:
    return random_faces(8)._replace(shape=shape)


def averages(scores: pd.DataFrame) -> dict[str, float]:
    return dict(scores.groupby("column")["value"].mean())


def test_variance_is_that_over_people_of_the_mean_photograph() -> None:
    shape = torch.randn(8, 12, generator=torch.Generator().manual_seed(0))
    scores = spread_scores("full", coefficient_rows("test", KEYS, faces_of_four(shape)), ROWS)
    variances = shape[:, :10].unflatten(0, (4, 2)).mean(dim=1).var(dim=0)
    assert set(scores["row"]) == {"full"} and set(scores["status"]) == {"ok"}
    assert scores.groupby("column").size().to_dict() == {"average": 4, "least": 4}
    found = averages(scores)
    np.testing.assert_allclose(found["average"], variances.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["least"], variances.min(), rtol=1e-5)


def test_one_face_for_everybody_has_no_variance() -> None:
    scores = spread_scores("full", coefficient_rows("test", KEYS, faces_of_four(torch.ones(8, 12))), ROWS)
    assert averages(scores) == {"average": 0.0, "least": 0.0}


def test_photographs_without_a_name_are_people_of_their_own_and_other_splits_are_left_out() -> None:
    table = coefficient_rows("test", KEYS, faces_of_four(torch.arange(8.0)[:, None].expand(8, 12)))
    scores = spread_scores("full", table, ROWS.assign(identity="").iloc[:3])
    assert averages(scores) == {"average": 1.0, "least": 1.0}  # of 0, 1 and 2
    assert spread_scores("full", table, ROWS.iloc[:2]).empty  # one person


def test_a_diverged_method_has_no_variance_to_show() -> None:
    shape = torch.ones(8, 12)
    shape[3] = torch.nan
    scores = spread_scores("no_lmk", coefficient_rows("test", KEYS, faces_of_four(shape)), ROWS)
    assert set(scores["status"]) == {"diverged"} and scores["value"].isna().all()


def test_mean_prediction_is_the_average_of_the_true_coefficients() -> None:
    training = coefficient_rows("", KEYS, random_faces(8)).assign(crop_from_photograph=[WHOLE_PICTURE] * 8)
    true = true_coefficients(training)
    found = coefficients_from_rows(mean_prediction(training, "test", ["x", "y"]))
    for name in ("shape", "expression", "albedo", "euler_angles", "light_position", "shininess"):
        wanted = getattr(true, name).mean(dim=0)
        torch.testing.assert_close(getattr(found, name), torch.stack([wanted, wanted]))
