"""The coefficients that one method predicted, as the renderer wants them."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from models.coefficients import Coefficients

COEFFICIENTS = "coefficients.parquet"
_SHAPES = {"sh_coefficients": (1, 9, 3)}


class Predictions:
    """Coefficients by key of the crop; keys are unique over all benchmarks."""

    def __init__(self, folder: Path) -> None:
        path = folder / COEFFICIENTS
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no predictions; run the stage predict for {folder.name} first")
        self._rows = pd.read_parquet(path).drop_duplicates("key").set_index("key")

    def __contains__(self, key: object) -> bool:
        return key in self._rows.index

    def of(self, key: str) -> Coefficients:
        """The coefficients of one crop, a batch of one; NaN where training diverged."""
        if key not in self:
            raise KeyError(f"no prediction for the crop {key}")
        row = self._rows.loc[key]
        groups = {name: np.asarray(row[name], np.float32) for name in Coefficients._fields}
        return Coefficients(
            **{name: torch.from_numpy(values).reshape(_SHAPES.get(name, (1, -1))) for name, values in groups.items()}
        )


def is_finite(coefficients: Coefficients) -> bool:
    """Whether a face can be drawn from them; a diverged training predicts NaN."""
    return all(bool(torch.isfinite(group).all()) for group in coefficients)
