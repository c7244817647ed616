"""The coefficients that one method predicted for the test photographs, as the renderer wants them."""

from pathlib import Path

import torch

from models.coefficients import Coefficients
from pipelines.coefficients_file import coefficients_from_rows, read_coefficients

COEFFICIENTS = "coefficients.parquet"
_BENCHMARK = "test"  # the test photographs and the real ones that join every run


class Predictions:
    """Coefficients by key of the crop."""

    def __init__(self, folder: Path) -> None:
        self._rows = read_coefficients(folder / COEFFICIENTS, _BENCHMARK).set_index("key")

    def __contains__(self, key: object) -> bool:
        return key in self._rows.index

    def of(self, key: str) -> Coefficients:
        """The coefficients of one crop, a batch of one; NaN where training diverged."""
        if key not in self:
            raise KeyError(f"no prediction for the crop {key}")
        return coefficients_from_rows(self._rows.loc[[key]])


def is_finite(coefficients: Coefficients) -> bool:
    """Whether a face can be drawn from them; a diverged training predicts NaN."""
    return all(bool(torch.isfinite(group).all()) for group in coefficients)
