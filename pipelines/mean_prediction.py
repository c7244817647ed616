"""The average of what there was to learn, as a method: whoever looks at a photograph has to be better than it."""

from collections.abc import Sequence

import pandas as pd

from models.coefficients import Coefficients
from pipelines.coefficients_file import coefficient_rows
from pipelines.truth import true_coefficients

MEAN_PREDICTION = "mean_prediction"


def mean_prediction(training: pd.DataFrame, benchmark: str, keys: Sequence[str]) -> pd.DataFrame:
    """The same coefficients for every crop: the mean of the true ones of the training crops, group by group.

    Unlike the mean face, whose pose follows the labelled landmarks, it sees nothing of the photograph.
    """
    true = true_coefficients(training)
    mean = Coefficients(*(group.mean(dim=0).expand(len(keys), *group.shape[1:]) for group in true))
    return coefficient_rows(benchmark, keys, mean)
