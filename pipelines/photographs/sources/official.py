"""How the readers of published data sets look for their telling files."""

from pathlib import Path


def find_below(source: Path, name: str) -> Path | None:
    """`name` in the folder or one level below it (`Anno`, `Img`, or the data set's own folder), if it is there."""
    candidates = [source / name, *sorted(source.glob(f"*/{name}"))]
    return next((path for path in candidates if path.exists()), None)
