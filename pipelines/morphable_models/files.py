"""Finds the files of a published model, or says in one sentence how to get them."""

from collections.abc import Sequence
from pathlib import Path


def required_file(root: Path, names: Sequence[str], source: str, how_to_obtain: str) -> Path:
    """The first of the named files in the folder; FileNotFoundError that tells how to obtain it."""
    for name in names:
        if (root / name).is_file():
            return root / name
    wanted = " or ".join(names)
    raise FileNotFoundError(f"{source}: no {wanted} in face_model.root ({root}); {how_to_obtain}")
