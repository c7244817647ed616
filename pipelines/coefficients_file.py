"""Coefficient tables on disk: one row for each crop, one list column for each coefficient group."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from models.coefficients import Coefficients

_TAIL_SHAPES: dict[str, tuple[int, ...]] = {"sh_coefficients": (9, 3), "light_position": (-1, 3)}  # the others: flat


def coefficient_rows(benchmark: str, keys: Sequence[str], coefficients: Coefficients) -> pd.DataFrame:
    """A table of the coefficients of crops, float32."""
    columns: dict[str, object] = {"benchmark": [benchmark] * len(keys), "key": list(keys)}
    for name, group in coefficients._asdict().items():
        columns[name] = list(group.detach().cpu().flatten(1).float().numpy())
    return pd.DataFrame(columns)


def coefficients_from_rows(rows: pd.DataFrame) -> Coefficients:
    """The coefficients in a table, in the order of its rows."""
    return Coefficients(**{name: group_from_rows(rows, name) for name in Coefficients._fields})


def group_from_rows(rows: pd.DataFrame, name: str) -> Tensor:
    """One coefficient group of a table, float32 with the batch axis first; its cells are numbers or lists of them."""
    flat = torch.from_numpy(np.stack([np.atleast_1d(cell) for cell in rows[name]]).astype(np.float32))
    return flat.unflatten(-1, _TAIL_SHAPES.get(name, (flat.shape[-1],)))


def write_coefficients(path: Path, rows: pd.DataFrame) -> None:
    """Write a coefficient table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(path, index=False)


def read_coefficients(path: Path, benchmark: str) -> pd.DataFrame:
    """The rows of one benchmark; FileNotFoundError when nothing was predicted."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; run the stage predict for this method")
    rows = pd.read_parquet(path)
    return rows[rows["benchmark"] == benchmark].reset_index(drop=True)
