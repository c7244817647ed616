"""Figures as the page shows them: no wider than a screen, and small."""

from pathlib import Path

from PIL import Image

_WIDEST_PX = 1600
_QUALITY = 88


def write_small_copy(source: Path, target: Path) -> None:
    """A figure as WebP; the one for print stays where it is."""
    with Image.open(source) as figure:
        picture = figure.convert("RGB")
    if picture.width > _WIDEST_PX:
        height = round(picture.height * _WIDEST_PX / picture.width)
        picture = picture.resize((_WIDEST_PX, height), Image.Resampling.LANCZOS)
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.save(target, quality=_QUALITY, method=4)
