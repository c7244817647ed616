"""Identity-balanced batches for the recogniser: the same number of photographs of each of several people."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pipelines.dataset import Pictures, channels_first, shows_face
from pipelines.params import RecognizerParams
from pipelines.shards import ShardReader, decode


class Drawn(NamedTuple):
    """A photograph of a batch."""

    person: int
    photograph: int  # of this person
    mirrored: bool
    face_only: bool


class PeopleCrops(Dataset[tuple[Tensor, int]]):
    """Crops, uint8 (3, H, W), with the number of their person; `people` are the keys of each person's crops.

    Of a crop that is drawn as face only, hair, background and whatever covers the face are black, as in a rendering.
    """

    def __init__(self, aligned: Path, segments: Path, people: Sequence[Sequence[str]]) -> None:
        self.pictures = Pictures(aligned, [key for keys in people for key in keys])
        self.segments = ShardReader(segments)
        self.first = np.cumsum([0, *map(len, people)]).tolist()

    def __getitem__(self, drawn: Drawn) -> tuple[Tensor, int]:
        index = self.first[drawn.person] + drawn.photograph
        picture = self.pictures[index]
        if drawn.face_only:
            segments = channels_first(decode(self.segments.read(self.pictures.keys[index], "png")))
            picture = picture * shows_face(segments)
        return picture.flip(-1) if drawn.mirrored else picture, drawn.person


class BalancedBatches(Sampler[list[Drawn]]):
    """The batches from iteration `first` on; each follows from the seed and its iteration alone, whatever came before.

    People are drawn without repetition, and so are the photographs of each; half of the pictures are mirrored, and
    `face_only_fraction` of them show nothing but the face.
    """

    def __init__(self, photographs: Sequence[int], params: RecognizerParams, *, first: int) -> None:
        self.photographs, self.params, self.first = photographs, params, first

    def __len__(self) -> int:
        return self.params.iterations - self.first

    def __iter__(self) -> Iterator[list[Drawn]]:
        for iteration in range(self.first, self.params.iterations):
            yield self._batch(np.random.default_rng((self.params.seed, iteration)))

    def _batch(self, generator: np.random.Generator) -> list[Drawn]:
        count = min(self.params.people_per_batch, len(self.photographs))
        batch = []
        for person in generator.choice(len(self.photographs), size=count, replace=False).tolist():
            size = min(self.params.photographs_per_person, self.photographs[person])
            chosen = generator.choice(self.photographs[person], size=size, replace=False).tolist()
            for photograph in chosen:
                mirrored, face_only = generator.random(2) < (0.5, self.params.face_only_fraction)
                batch.append(Drawn(person, photograph, bool(mirrored), bool(face_only)))
        return batch


def people_batches(
    aligned: Path, segments: Path, people: Sequence[Sequence[str]], params: RecognizerParams, *, first: int
) -> DataLoader[Any]:
    """Pictures and people of the batches from iteration `first` on, decoded ahead by `params.workers` processes."""
    return DataLoader(
        PeopleCrops(aligned, segments, people),
        batch_sampler=BalancedBatches([len(keys) for keys in people], params, first=first),
        num_workers=params.workers,
        multiprocessing_context="spawn" if params.workers else None,  # a fork may hang, a fork server outlives us
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # the loader takes a number when it starts, which must not be torch's own
    )
