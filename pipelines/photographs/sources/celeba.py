"""CelebA: `img_align_celeba` (a folder, or the zip file it comes as) and `identity_CelebA.txt` below one folder.

The official parts (`list_eval_partition.txt`) are not used: the split is seeded and by identity for every source.
"""

from pathlib import Path, PurePosixPath

from pipelines.photographs.found import FoundFile
from pipelines.photographs.sources.archive import files_in_archive
from pipelines.photographs.sources.folder import files_in
from pipelines.photographs.sources.official import find_below

PICTURES = "img_align_celeba"
IDENTITIES = "identity_CelebA.txt"


def is_celeba(source: Path) -> bool:
    """Whether the aligned pictures lie here."""
    return _pictures(source) is not None


def celeba_files(source: Path) -> list[FoundFile]:
    """Every aligned picture with its identity; ValueError when pictures or identities are not there."""
    pictures = _pictures(source)
    if pictures is None:
        raise ValueError(f"{source}: expected CelebA's folder {PICTURES} or {PICTURES}.zip, there is neither")
    path = find_below(source, IDENTITIES)
    if path is None:
        raise ValueError(
            f"{source}: expected CelebA's {IDENTITIES}, without which one person would be trained on and tested; the"
            " authors send it on request"
        )
    identities = read_identities(path)
    files = files_in(pictures) if pictures.is_dir() else files_in_archive(pictures)
    return [file._replace(identity=identities.get(PurePosixPath(file.name).name, "")) for file in files]


def read_identities(path: Path) -> dict[str, str]:
    """The identity's number of each picture; ValueError for a line that is not a name and a number."""
    identities = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        words = line.split()
        if len(words) != 2 or not words[1].isdecimal():
            raise ValueError(f"{path}, line {number}: expected '000001.jpg 2880', got {line!r}")
        identities[words[0]] = words[1]
    return identities


def _pictures(source: Path) -> Path | None:
    return find_below(source, PICTURES) or find_below(source, f"{PICTURES}.zip")
