"""Crops of people whom a colour tells apart, to train a small recogniser on; also in a process of its own.

`python -m tests.recognizer_tree ROOT OUTPUT CHANGES`: trains on ROOT/aligned and ROOT/segments; CHANGES is JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np

from models.segments import SEGMENT_INDEX
from pipelines.params import RecognizerParams
from pipelines.recognition import make_recognizer
from tests.label_tree import smoke_params, write_aligned, write_masks

COLOURS = {"anna": (230, 40, 40), "bela": (40, 230, 40), "cora": (40, 40, 230), "dino": (220, 220, 40)}


def recognizer_params(**changes: object) -> RecognizerParams:
    """A small network, trained here."""
    network = {"architecture": "shufflenet_v2_x0_5", "embedding_size": 8, "input_size": 64}
    small = {"weights": "own", **network, "people_per_batch": 4, "photographs_per_person": 3}
    return smoke_params().train_recognizer.model_copy(update={**small, **changes})


def write_people(
    folder: Path, people: dict[str, tuple[int, int, int]], photographs: int = 3, held_out: tuple[str, ...] = ()
) -> None:
    """`folder`/aligned, where every person has a colour of their own in light that changes, and `folder`/segments.

    The skin lies in the middle of a crop.
    """
    generator = np.random.default_rng(0)
    pictures, identities = {}, []
    for name, colour in people.items():
        for number in range(photographs):
            noise = generator.normal(0, 25, (64, 64, 3)) + generator.normal(0, 10)
            pictures[f"{name}-{number}"] = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            identities.append(name)
    splits = ["test" if name in held_out else "train" for name in identities]
    write_aligned(folder / "aligned", pictures, identity=identities, split=splits)
    segments = np.zeros((len(pictures), 64, 64))
    segments[:, 16:48, 16:48] = SEGMENT_INDEX["skin"]
    write_masks(folder / "segments", list(pictures), segments)


def train_toy_recognizer(root: Path, output: Path, **changes: object) -> None:
    """Train on `root`/aligned and `root`/segments; checkpoints go to `root`/memo."""
    make_recognizer(root / "aligned", root / "segments", output, recognizer_params(**changes), memo=root / "memo")


if __name__ == "__main__":
    train_toy_recognizer(Path(sys.argv[1]), Path(sys.argv[2]), **json.loads(sys.argv[3]))
