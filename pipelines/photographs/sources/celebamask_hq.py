"""CelebAMask-HQ: `CelebA-HQ-img/0.jpg`, and a mask for each part of it, `CelebAMask-HQ-mask-anno/0/00000_skin.png`.

The identities are CelebA's, by way of `CelebA-HQ-to-CelebA-mapping.txt`, when `identity_CelebA.txt` lies beside it;
without it they are unknown, and a person may be in two parts of the split.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.segments import SEGMENT_INDEX
from pipelines.photographs.found import FoundFile
from pipelines.photographs.sources.celeba import IDENTITIES, read_identities
from pipelines.photographs.sources.folder import files_in
from pipelines.photographs.sources.official import find_below

PICTURES = "CelebA-HQ-img"
MASKS = "CelebAMask-HQ-mask-anno"
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
_MASKS_PER_FOLDER = 2000

# In the order of the official script g_mask.py: what comes later lies over what came before. Ears and neck are
# background, as in the synthetic truth: the face model does not render them.
SEGMENT_OF_PART = {
    "skin": "skin",
    "nose": "nose",
    "eye_g": "glasses",
    "l_eye": "eyes",
    "r_eye": "eyes",
    "l_brow": "brows",
    "r_brow": "brows",
    "l_ear": "background",
    "r_ear": "background",
    "mouth": "inner_mouth",
    "u_lip": "lips",
    "l_lip": "lips",
    "hair": "hair",
    "hat": "hat",
    "ear_r": "background",  # an earring
    "neck_l": "background",  # a necklace
    "neck": "background",
    "cloth": "background",
}


class CelebAMaskAnnotation(NamedTuple):
    """The masks of one picture; a part without a mask is not in the picture."""

    folder: Path
    number: int

    @property
    def files(self) -> tuple[Path, ...]:
        """The masks that are there, in the order of painting."""
        return tuple(path for path in self._masks().values() if path.exists())

    def segments(self) -> NDArray[np.uint8]:
        """All parts in one map, painted over each other; ValueError when there is no mask at all."""
        masks = {part: _mask(path) for part, path in self._masks().items() if path.exists()}
        if not masks:
            raise ValueError(f"{self.number:05d}: no mask in {self.folder.name}")
        painted = np.zeros(next(iter(masks.values())).shape, np.uint8)
        for part, mask in masks.items():
            painted[mask] = SEGMENT_INDEX[SEGMENT_OF_PART[part]]
        return painted

    def _masks(self) -> dict[str, Path]:
        folder = self.folder / str(self.number // _MASKS_PER_FOLDER)
        return {part: folder / f"{self.number:05d}_{part}.png" for part in SEGMENT_OF_PART}


def is_celebamask_hq(source: Path) -> bool:
    """Whether pictures and masks lie here."""
    return find_below(source, PICTURES) is not None and find_below(source, MASKS) is not None


def celebamask_hq_files(source: Path) -> list[FoundFile]:
    """Every picture with its annotation; ValueError when pictures or masks are not there."""
    pictures, masks = find_below(source, PICTURES), find_below(source, MASKS)
    if pictures is None or masks is None:
        raise ValueError(f"{source}: expected CelebAMask-HQ's folders {PICTURES} and {MASKS}")
    identities = _identities(source)
    files = [file for file in files_in(pictures) if file.path.stem.isdecimal()]
    return [
        file._replace(
            identity=identities.get(int(file.path.stem), ""),
            annotation=CelebAMaskAnnotation(masks, int(file.path.stem)),
        )
        for file in sorted(files, key=lambda file: int(file.path.stem))
    ]


def _mask(path: Path) -> NDArray[np.bool_]:
    return np.asarray(Image.open(path).convert("L")) > 127


def _identities(source: Path) -> dict[int, str]:
    """CelebA's identity of each number, as far as it is known."""
    mapping, known = find_below(source, MAPPING), find_below(source, IDENTITIES)
    if mapping is None or known is None:
        return {}
    of_picture = read_identities(known)
    lines = (line.split() for line in mapping.read_text().splitlines()[1:])  # idx, orig_idx, orig_file
    return {int(words[0]): of_picture.get(words[-1], "") for words in lines if words}
