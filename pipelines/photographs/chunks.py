"""Runs of a sorted list whose ends depend on the keys themselves, so that a new key changes only the run it falls into.

Runs of a fixed length would all move when one key comes in between. Here a run ends behind a key whose hash says so
("content-defined chunking"); only the limits of its length depend on where it began, and the next such keys find back.
"""

import hashlib
from collections.abc import Sequence


def content_defined_runs(keys: Sequence[str], length: int) -> list[range]:
    """Ranges of indices that cover `keys`, about `length` long: a quarter at least (but the last), twice at most."""
    shortest, longest = length // 4, 2 * length
    runs = []
    first = 0
    for index, key in enumerate(keys):
        count = index + 1 - first
        if count == longest or (count >= shortest and _hash(key) % (length - shortest) == 0):
            runs.append(range(first, index + 1))
            first = index + 1
    if first < len(keys):
        runs.append(range(first, len(keys)))
    return runs


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
