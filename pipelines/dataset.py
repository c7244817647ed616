"""Labelled crops for training: pictures and masks from shards, landmarks and features from rows, batched as tensors."""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d
from torch.utils.data import DataLoader, Dataset, Sampler

from models.landmarks import LANDMARK_COUNT
from models.segments import FACE_SEGMENTS, SEGMENT_INDEX
from pipelines.shards import ShardReader, decode, read_rows

_EYE_MARGIN = 0.01  # of the crop's side


class Batch(NamedTuple):
    """Crops as they lie in the shards; `prepare` makes training pictures of them."""

    image: UInt8[Tensor, "B 3 H W"]
    segments: UInt8[Tensor, "B 1 H W"]
    skin: UInt8[Tensor, "B 1 H W"]
    mouth: UInt8[Tensor, "B 1 H W"]
    landmarks: Float[Tensor, "B 68 2"]  # pixels of the crop
    features: Float[Tensor, "B D"]  # of the recogniser


class Prepared(NamedTuple):
    """A batch at the size of the renderings; pictures and masks in 0..1."""

    image: Float[Tensor, "B 3 S S"]
    face: Float[Tensor, "B 1 S S"]  # I_face, 0 or 1
    skin: Float[Tensor, "B 1 S S"]  # p_i of Eq. 9
    mouth: Float[Tensor, "B 1 S S"]  # A of Eq. 11
    mouth_visible: Float[Tensor, "B 1 S S"]  # 0 or 1: where nothing hides the face, and with it a mouth


class Pictures(Dataset[Tensor]):
    """The crops alone, uint8 (3, H, W), for networks that need no labels."""

    def __init__(self, aligned: Path, keys: Sequence[str]) -> None:
        self.reader = ShardReader(aligned)
        self.keys = list(keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Tensor:
        return channels_first(decode(self.reader.read(self.keys[index], "jpg")))


class LabelledCrops(Dataset[Batch]):
    """Crops with every label that the losses use; `features` maps a key to the recogniser's features of the crop."""

    def __init__(self, labels: Path, keys: Sequence[str], features: dict[str, NDArray[np.float32]]) -> None:
        self.pictures = Pictures(labels / "aligned", keys)
        self.masks = {name: ShardReader(labels / name) for name in ("segments", "skin", "mouth")}
        self.landmarks = landmarks_by_key(labels / "landmarks")
        self.features = features

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Batch:
        key = self.pictures.keys[index]
        masks = {name: channels_first(decode(reader.read(key, "png"))) for name, reader in self.masks.items()}
        return Batch(
            image=self.pictures[index],
            landmarks=torch.from_numpy(self.landmarks[key]),
            features=torch.from_numpy(self.features[key]),
            **masks,
        )


class EndlessSampler(Sampler[int]):
    """Indices in a new random order each epoch, without end; each of `ranks` processes takes its share.

    `skipped` indices of each share are left out at the beginning, so that a training goes on where it was.
    """

    def __init__(self, length: int, seed: int, *, rank: int = 0, ranks: int = 1, skipped: int = 0) -> None:
        if length == 0:
            raise ValueError("no photograph left to train on: every one was rejected or held out")
        self.length, self.seed, self.rank, self.ranks, self.skipped = length, seed, rank, ranks, skipped

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        position = 0
        while True:
            for index in torch.randperm(self.length, generator=generator).tolist():
                if position % self.ranks == self.rank and position >= self.skipped * self.ranks:
                    yield index
                position += 1


def endless_batches(
    dataset: Dataset[Any], batch_size: int, sampler: EndlessSampler, *, workers: int = 0
) -> DataLoader[Any]:
    """Batches of a fixed size without end, made by this process or by `workers` others; the same ones in either case.

    Drawing them leaves torch's global generator alone. For a GPU they lie in memory that it can copy from by itself.
    """
    generator = torch.Generator().manual_seed(sampler.seed)  # the loader takes a number from it when it starts
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        generator=generator,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,  # a fork may hang, a fork server outlives us
        pin_memory=torch.cuda.is_available(),
    )


def prefetched(loader: DataLoader[Any]) -> Generator[Any, None, None]:
    """Batches of an endless loader; the next one is made while the caller works with the present one.

    A thread makes it, unless the loader has processes for that. Close the generator and neither is left behind.
    """
    batches = iter(loader)
    if loader.num_workers > 0:
        yield from batches
        return
    with ThreadPoolExecutor(1, thread_name_prefix="next-batch") as thread:
        following = thread.submit(next, batches)
        while True:
            present, following = following.result(), thread.submit(next, batches)
            yield present


def crops(aligned: Path, *splits: str) -> pd.DataFrame:
    """Rows of the kept crops of the named splits, in order of their keys."""
    rows = read_rows(aligned)
    wanted = rows[(rows["status"] == "kept") & rows["split"].isin(splits)]
    return wanted.sort_values("key", ignore_index=True)


def landmarks_by_key(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The 68 labelled landmarks of each crop, (68, 2) float32, pixels of the crop."""
    rows = read_rows(folder)
    return {
        key: np.array(points, np.float32).reshape(LANDMARK_COUNT, 2)
        for key, points in zip(rows["key"], rows["landmarks"], strict=True)
    }


def prepare(batch: Batch, size: int) -> Prepared:
    """Bring a batch to `size` × `size` pixels: area means of the pictures, I_face from the segments.

    Deviation: I_face has no pixel within a hundredth of the crop's side of an eye. An eye rendered a little beside its
    place costs Eq. 8 more than a closed lid, so that eyes would close; how far they open is left to the landmarks.
    """
    face, inner_mouth = shows_face(batch.segments), batch.segments == SEGMENT_INDEX["inner_mouth"]
    return Prepared(
        image=resized(batch.image, size),
        face=_mostly(face & ~_near_eyes(batch.segments), size),
        skin=shrunk(batch.skin.float() / 255, size),
        mouth=shrunk(batch.mouth.float() / 255, size),
        mouth_visible=_mostly(face | inner_mouth, size),
    )


def _mostly(mask: Bool[Tensor, "B 1 H W"], size: int) -> Float[Tensor, "B 1 S S"]:
    """One where more than half of a pixel is in the mask, else zero."""
    return (shrunk(mask.float(), size) > 0.5).float()


def shows_face(segments: UInt8[Tensor, "*B H W"]) -> Bool[Tensor, "*B H W"]:
    """Where a photograph shows what the face model renders."""
    # Number by number: a tensor of the numbers would have to be copied to a GPU, which the host waits for.
    return torch.stack([segments == SEGMENT_INDEX[name] for name in FACE_SEGMENTS]).any(dim=0)


def _near_eyes(segments: UInt8[Tensor, "B 1 H W"]) -> Bool[Tensor, "B 1 H W"]:
    """Eyes and a margin around them."""
    margin = round(_EYE_MARGIN * segments.shape[-1])
    eyes = (segments == SEGMENT_INDEX["eyes"]).float()
    return max_pool2d(eyes, 2 * margin + 1, stride=1, padding=margin) > 0


def resized(image: UInt8[Tensor, "B 3 H W"], size: int) -> Float[Tensor, "B 3 S S"]:
    """Crops as sRGB in 0..1 at `size` × `size` pixels."""
    return shrunk(image.float() / 255, size)


def shrunk(picture: Float[Tensor, "B C H W"], size: int) -> Float[Tensor, "B C S S"]:
    """Pictures or masks at `size` × `size` pixels, each the mean of what it covers."""
    if picture.shape[-1] == size:
        return picture
    return interpolate(picture, (size, size), mode="bilinear", antialias=True)


def channels_first(picture: NDArray[np.uint8]) -> UInt8[Tensor, "C H W"]:
    """A decoded picture (H, W, 3) or mask (H, W) as a tensor of its own."""
    stacked = picture[..., None] if picture.ndim == 2 else picture
    return torch.from_numpy(stacked.transpose(2, 0, 1).copy())  # Pillow's memory must not be written
