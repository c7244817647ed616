"""Small random pictures for tests of photographs' sources, and what became of them."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.photographs.decoding import DecodingLimits
from pipelines.photographs.found import FoundFile
from pipelines.photographs.reading import read_file

SIDE = 80
LIMITS = DecodingLimits(maximum_megapixels=1.0, minimum_side=64, longest_side=300)


def small_picture(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A smooth random picture (width, height) that survives JPEG."""
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def small_jpeg(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    """The bytes of such a picture."""
    buffer = io.BytesIO()
    small_picture(seed, size).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def put(path: Path, content: bytes | None = None, *, seed: int = 0) -> Path:
    """Write a file, by default a picture, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(small_jpeg(seed) if content is None else content)
    return path


def reasons(files: Sequence[FoundFile]) -> dict[str, str]:
    """For each name "" when it became a photograph, or the reason why not."""
    read = [read_file(LIMITS, file) for file in files]
    assert all((one.picture is None) == bool(one.reason) for one in read)
    return {one.file.name: one.reason for one in read}


def identities(files: Sequence[FoundFile]) -> dict[str, str]:
    """The identity of each name."""
    return {file.name: file.identity for file in files}
