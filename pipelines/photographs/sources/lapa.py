"""LaPa: `train/images/1.jpg` with `train/labels/1.png`, likewise `val` and `test`; the people are not known."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.segments import SEGMENT_INDEX
from pipelines.photographs.found import FoundFile, found_file
from pipelines.photographs.sources.official import find_below

PARTS = ("train", "val", "test")

# By LaPa's class number; left and right are one segment here.
SEGMENT_OF_CLASS = (
    "background",
    "skin",
    "brows",
    "brows",
    "eyes",
    "eyes",
    "nose",
    "lips",
    "inner_mouth",
    "lips",
    "hair",
)


class LapaAnnotation(NamedTuple):
    """A picture's label map."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """The label map's file."""
        return (self.path,)

    def segments(self) -> NDArray[np.uint8]:
        """The map with our numbers; ValueError for a number that LaPa does not have."""
        classes = np.asarray(Image.open(self.path))
        if classes.ndim != 2 or classes.max() >= len(SEGMENT_OF_CLASS):
            expected = f"one number from 0 to {len(SEGMENT_OF_CLASS) - 1} for each pixel"
            raise ValueError(f"{self.path.name}: expected {expected}, got {classes.shape} up to {classes.max()}")
        ours = np.array([SEGMENT_INDEX[name] for name in SEGMENT_OF_CLASS], np.uint8)
        mapped: NDArray[np.uint8] = ours[classes]
        return mapped


def is_lapa(source: Path) -> bool:
    """Whether one of LaPa's parts lies here with images and labels."""
    root = _root(source)
    return root is not None and any((root / part / "labels").is_dir() for part in PARTS)


def lapa_files(source: Path) -> list[FoundFile]:
    """Every picture of all parts, with its labels where they are; ValueError when this is not LaPa."""
    root = _root(source)
    if root is None:
        raise ValueError(
            f"{source}: expected LaPa's folders {', '.join(f'{part}/images' for part in PARTS)}, found none"
        )
    return [_file(path, root) for part in PARTS for path in sorted((root / part / "images").glob("*.jpg"))]


def _file(path: Path, root: Path) -> FoundFile:
    labels = path.parents[1] / "labels" / f"{path.stem}.png"
    annotation = LapaAnnotation(labels) if labels.exists() else None
    return found_file(path, path.relative_to(root).as_posix(), annotation=annotation)


def _root(source: Path) -> Path | None:
    images = next((path for path in (find_below(source, f"{part}/images") for part in PARTS) if path), None)
    return images.parents[1] if images else None
