"""How far two measures agree on what is better."""

import numpy as np
from jaxtyping import Float


def concordances(first: Float[np.ndarray, "N"], second: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """For each item: share of the others that both measures put to the same side of it, minus those to different ones.

    The mean over the items is Kendall's tau. Items without a value in both measures are no others and have NaN, as
    has an item without others.
    """
    known = np.isfinite(first) & np.isfinite(second)
    values = [np.where(known, measure, 0.0) for measure in (first, second)]
    sides = [np.sign(measure[:, None] - measure) for measure in values]
    others = max(int(known.sum()) - 1, 0)
    if others == 0:
        return np.full(len(first), np.nan)
    return np.where(known, (sides[0] * sides[1])[:, known].sum(axis=1) / others, np.nan)
