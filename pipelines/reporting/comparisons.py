"""Figures 3, 4, 5 and 7: photographs beside what the variants make of them."""

from pathlib import Path

import numpy as np
from PIL import Image

from models.landmarks import LANDMARKS
from pipelines.reporting.artist import Artist, Drawn, Picture, over_photograph
from pipelines.reporting.material import Material
from pipelines.reporting.sheet import Cell, save_sheet

_CLOSER = 3  # close-ups are drawn so many times larger than the crops
_MOUTH_MARGIN = 0.85  # half the side of the close-up, in widths of the mouth


def uniform_loss_figure(path: Path, artist: Artist, material: Material, examples: int) -> None:
    """Fig. 3: lit diffuse and specular albedo with and without the uniform loss."""
    variants = material.trained("full", "no_uniform")
    rows = []
    for key in material.examples(examples):
        row: list[Cell] = [_enlarged(material.photograph(key), artist.size)]
        for variant in variants:
            drawn = artist.draw(material.predictions(variant).of(key))
            row += [drawn and drawn.diffuse, drawn and drawn.specular, drawn and drawn.full]
        rows.append(row)
    titles = [f"{_name(variant)}\n{part}" for variant in variants for part in ("diffuse", "specular", "sum")]
    save_sheet(path, rows, columns=["photograph", *titles])


def ablation_figure(path: Path, artist: Artist, material: Material, examples: int) -> None:
    """Fig. 4: the effect of the identity, photometric and regularisation losses on picture and shape."""
    variants = material.trained("full", "no_id", "no_photo", "no_reg")
    rows: list[list[Cell]] = []
    for key in material.examples(examples):
        photograph = _enlarged(material.photograph(key), artist.size)
        coefficients = [material.predictions(variant).of(key) for variant in variants]
        rows.append([photograph, *(_over(photograph, artist.draw(one)) for one in coefficients)])
        rows.append(["", *(artist.clay(one) for one in coefficients)])
    save_sheet(
        path, rows, columns=["photograph", *map(_name, variants)], labels=["picture", "shape"] * (len(rows) // 2)
    )


def mouth_figure(path: Path, artist: Artist, material: Material, examples: int) -> None:
    """Fig. 5: close-ups of the mouth with and without the inner-mouth loss; the opening is drawn dark."""
    variants = material.trained("no_mouth", "full")
    rows = []
    for key in material.mouths(examples):
        photograph = material.photograph(key)
        fine = Artist(artist.model, artist.camera, len(photograph) * _CLOSER)
        box = _mouth_box(material.landmarks[key] * _CLOSER, fine.size)
        row: list[Cell] = [_enlarged(photograph, fine.size)[box]]
        for variant in variants:
            coefficients = material.predictions(variant).of(key)
            drawn = fine.draw(coefficients)
            row += [_cut(drawn and drawn.full, box), _cut(fine.clay(coefficients), box)]
        rows.append(row)
    titles = [f"{_name(variant)}, {part}" for variant in variants for part in ("picture", "shape")]
    save_sheet(path, rows, columns=["photograph", *titles])


GALLERY_COLUMNS = ("photograph", "full", "diffuse", "specular", "shape", "light")


def gallery_figure(path: Path, artist: Artist, material: Material, examples: int) -> None:
    """Fig. 7: everything that the full model recovers from photographs, real ones first."""
    real = material.real_keys()
    synthetic = [key for key in material.examples(examples + len(real)) if key not in real][:examples]
    rows = [everything(artist, material, key) for key in [*real, *synthetic]]
    save_sheet(
        path,
        rows,
        columns=GALLERY_COLUMNS,
        labels=["real"] * len(real) + ["synthetic"] * len(synthetic),
        note="MoFA and Genova et al., which the paper shows here, are not built yet.",
    )


def everything(artist: Artist, material: Material, key: str) -> list[Cell]:
    """What the full model recovers from one photograph, in the order of `GALLERY_COLUMNS`."""
    photograph = _enlarged(material.photograph(key), artist.size)
    coefficients = material.predictions("full").of(key)
    drawn = artist.draw(coefficients)
    return [
        photograph,
        _over(photograph, drawn),
        drawn and drawn.diffuse,
        drawn and drawn.specular,
        artist.clay(coefficients),
        artist.light_on_sphere(coefficients),
    ]


def _over(photograph: Picture, drawn: Drawn | None) -> Picture | None:
    return None if drawn is None else over_photograph(photograph, drawn)


def _name(variant: str) -> str:
    """A variant as the tables call it."""
    return variant.replace("no_", "− ")


def _enlarged(picture: Picture, size: int) -> Picture:
    eight_bit = Image.fromarray((picture * 255).round().astype(np.uint8))
    return np.asarray(eight_bit.resize((size, size), Image.Resampling.BICUBIC), np.float32) / np.float32(255)


def _cut(picture: Picture | None, box: tuple[slice, slice]) -> Picture | None:
    return None if picture is None else picture[box]


def _mouth_box(landmarks: np.ndarray, size: int) -> tuple[slice, slice]:
    """Rows and columns of a square around the mouth, inside the picture."""
    mouth = landmarks[list(LANDMARKS["outer_mouth"])]
    half = min(max(float(np.ptp(mouth[:, 0])) * _MOUTH_MARGIN, size / 16), size / 2)
    x, y = np.clip((mouth.max(axis=0) + mouth.min(axis=0)) / 2, half, size - half)
    return slice(round(y - half), round(y + half)), slice(round(x - half), round(x + half))
