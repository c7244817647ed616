"""Who is in the test set: a seeded split in which no identity is in two parts."""

import numpy as np

COMPANION = "companion-"  # before the split of synthetic photographs that only accompany a folder of real ones


def with_companions(*splits: str) -> tuple[str, ...]:
    """The named splits and those of the synthetic companions; whatever learns from truth or identities takes both."""
    return (*splits, *(COMPANION + split for split in splits))


def split_identities(
    identities: list[str], *, test_fraction: float, validation_fraction: float, seed: int
) -> dict[str, str]:
    """The split ("test", "validation" or "train") of every identity, fractions counted in identities.

    Each part gets one identity at least, as far as there are enough: training first, then test, then validation.
    """
    order = sorted(set(identities))
    np.random.default_rng(seed).shuffle(order)
    test = _share(test_fraction, len(order), at_most=len(order) - 1)
    validation = _share(validation_fraction, len(order), at_most=len(order) - 1 - test)
    parts = ["test"] * test + ["validation"] * validation
    parts += ["train"] * (len(order) - len(parts))
    return dict(zip(order, parts, strict=True))


def _share(fraction: float, count: int, *, at_most: int) -> int:
    return max(0, min(max(1, round(fraction * count)), at_most))
