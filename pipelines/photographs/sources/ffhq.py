"""FFHQ: `images1024x1024/00000/00012.png`. The sub-folder counts thousands and is no identity; nobody is named."""

import re
from pathlib import Path

from pipelines.photographs.found import FoundFile
from pipelines.photographs.sources.folder import files_in

# The same photographs in several sizes; only the first that is there is read.
_VERSIONS = ("images1024x1024", "thumbnails128x128", "in-the-wild-images")
_THOUSAND = re.compile(r"\d\d000")


def is_ffhq(source: Path) -> bool:
    """Whether the sub-folders are thousands, each with the pictures that its number says."""
    pictures = _pictures(source)
    thousands = [path for path in pictures.iterdir() if path.is_dir() and _THOUSAND.fullmatch(path.name)]
    return any(next(folder.glob(f"{folder.name[:2]}[0-9][0-9][0-9].png"), None) for folder in thousands)


def ffhq_files(source: Path) -> list[FoundFile]:
    """Every picture of the largest version, without identity; ValueError when this is not FFHQ."""
    if not is_ffhq(source):
        raise ValueError(f"{source}: expected FFHQ's pictures, such as images1024x1024/00000/00012.png")
    return [file._replace(identity="") for file in files_in(_pictures(source))]


def _pictures(source: Path) -> Path:
    return next((source / name for name in _VERSIONS if (source / name).is_dir()), source)
