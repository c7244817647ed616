"""300W-LP: `AFW/AFW_134212_1_0.jpg`, and `AFW_Flip` with the mirrored pictures; likewise HELEN, IBUG and LFPW.

Each face was turned to other poses by computer, `_0` being the photograph itself. All pictures of one face, the
mirrored ones included, share an identity, so that the split is honest.
"""

import re
from pathlib import Path

from pipelines.photographs.found import FoundFile
from pipelines.photographs.sources.folder import files_in

SETS = ("AFW", "HELEN", "IBUG", "LFPW")
_PICTURE = re.compile(rf"({'|'.join(SETS)})(?:_Flip)?/(.+)_\d+\.jpg")


def is_300w_lp(source: Path) -> bool:
    """Whether a picture of one of the four sets lies here with its annotation beside it."""
    return _root(source) is not None


def files_of_300w_lp(source: Path) -> list[FoundFile]:
    """Every picture of the four sets; annotations and code are passed over. ValueError when there is no such set."""
    root = _root(source)
    if root is None:
        raise ValueError(
            f"{source}: expected 300W-LP's pictures and annotations, such as AFW/AFW_134212_1_0.jpg and .mat"
        )
    matches = ((file, _PICTURE.fullmatch(file.name)) for file in files_in(root))
    return [file._replace(identity=f"{match[1]}/{match[2]}") for file, match in matches if match]


def _root(source: Path) -> Path | None:
    """The folder of the four sets: this one or one below; not `landmarks`, whose folders have the same names."""
    roots = (source, *sorted(path for path in source.iterdir() if path.is_dir()))
    return next((root for root in roots if any(_is_annotated(root / name) for name in SETS)), None)


def _is_annotated(folder: Path) -> bool:
    picture = next(folder.glob(f"{folder.name}_*_[0-9]*.jpg"), None)
    return picture is not None and picture.with_suffix(".mat").exists()
