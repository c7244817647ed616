"""Who is in the test set: a seeded split in which no identity is in two parts."""

import bisect
import hashlib
import itertools
from collections import Counter

COMPANION = "companion-"  # before the split of synthetic photographs that only accompany a folder of real ones


def with_companions(*splits: str) -> tuple[str, ...]:
    """The named splits and those of the synthetic companions; whatever learns from truth or identities takes both."""
    return (*splits, *(COMPANION + split for split in splits))


def split_identities(
    identities: list[str], *, test_fraction: float, validation_fraction: float, seed: int, test_photographs: int = 0
) -> dict[str, str]:
    """The split ("test", "validation" or "train") of every identity, from the identity of every photograph.

    Identities are ranked by a hash of their own, so that others which come or go hardly change the part of one. The
    test part takes `test_fraction` of the identities or, unless it is 0, as many as have `test_photographs`; each part
    gets one identity at least, as far as there are enough: training first, then test, then validation.
    """
    photographs = Counter(identities)
    order = sorted(photographs, key=lambda identity: _rank(identity, seed))
    if test_photographs:
        test = min(_first_with([photographs[identity] for identity in order], test_photographs), len(order) - 1)
    else:
        test = _share(test_fraction, len(order), at_most=len(order) - 1)
    validation = _share(validation_fraction, len(order), at_most=len(order) - 1 - test)
    parts = ["test"] * test + ["validation"] * validation
    parts += ["train"] * (len(order) - len(parts))
    return dict(zip(order, parts, strict=True))


def _rank(identity: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {identity}".encode()).digest()


def _first_with(photographs: list[int], wanted: int) -> int:
    """How many of the first identities have the wanted photographs; ValueError when that leaves less for training."""
    if 2 * wanted > sum(photographs):
        raise ValueError(
            f"photographs.test_photographs: {wanted} of {sum(photographs)} photographs is more than half;"
            " take fewer, or 0 for photographs.test_fraction"
        )
    return bisect.bisect_left(list(itertools.accumulate(photographs)), wanted) + 1


def _share(fraction: float, count: int, *, at_most: int) -> int:
    return max(0, min(max(1, round(fraction * count)), at_most))
