"""Whether identities collapse: how much the predicted identity coefficients differ between people."""

import numpy as np
import pandas as pd

from pipelines.coefficients_file import group_from_rows
from pipelines.scoring import DIVERGED, OK, SCORE_COLUMNS

TRUTH = "truth"  # the row of the true coefficients
SPREAD_MODES = 10  # the first ones of the identity, which change a face most


def spread_scores(method: str, coefficients: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """What each person adds to the variance over people of the first identity modes; the prior's variance is 1.

    `coefficients` are those of crops, whose `rows` name the person; a crop without a name is a person of its own. A
    person counts with the mean m of the photographs: the values of P people, (m_p - mean of m)^2 P / (P - 1), average
    to the variance. Column "average" is its mean over the modes, column "least" that of the mode which varies least.
    """
    table = coefficients[coefficients["key"].isin(rows["key"])].reset_index(drop=True)
    if table.empty:
        return pd.DataFrame(columns=SCORE_COLUMNS)
    modes = group_from_rows(table, "shape")[:, :SPREAD_MODES].double().numpy()
    named = rows.set_index("key")["identity"].loc[table["key"]].to_numpy()
    people = pd.Series(np.where(named == "", table["key"], named))
    if people.nunique() < 2:
        return pd.DataFrame(columns=SCORE_COLUMNS)
    finite = bool(np.isfinite(modes).all())
    means = pd.DataFrame(np.nan_to_num(modes)).groupby(people.to_numpy()).mean()
    squares = (means - means.mean()).pow(2) * len(means) / (len(means) - 1)
    parts = {"average": squares.mean(axis=1), "least": squares[squares.mean().idxmin()]}
    scored = [
        (method, column, person, value if finite else np.nan, OK if finite else DIVERGED)
        for column, values in parts.items()
        for person, value in values.items()
    ]
    return pd.DataFrame(scored, columns=SCORE_COLUMNS)
