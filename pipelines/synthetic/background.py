"""Backgrounds: photographs that ship inside scikit-image and scikit-learn, out of focus, and drawn walls and rooms."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

# Pictures without a person in front; all ship in the packages' own wheels and need no download.
_PICTURES = (
    ("skimage", "data/brick.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/grass.png"),
    ("skimage", "data/gravel.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/rocket.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)
_LONGEST_SIDE = 480


def background(generator: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A random background, sRGB in 0..1, (size, size, 3)."""
    kind = generator.choice(["picture", "wall", "room", "lights", "shapes"], p=[0.45, 0.17, 0.16, 0.1, 0.12])
    draw = {"picture": _picture, "wall": _wall, "room": _room, "lights": _lights, "shapes": _shapes}[kind]
    return draw(generator, size).clip(0, 1).astype(np.float32)


def _picture(generator: np.random.Generator, size: int) -> NDArray[np.floating]:
    """A random part of a real photograph, mirrored and blurred by chance, in other colours."""
    source = _load(*_PICTURES[generator.integers(len(_PICTURES))])
    side = int(min(source.size) * generator.uniform(0.45, 1.0))
    left, top = (int(generator.integers(0, extent - side + 1)) for extent in source.size)
    part = source.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    picture: NDArray[np.floating] = np.asarray(part, np.float32) / 255
    if generator.random() < 0.5:
        picture = picture[:, ::-1]
    picture = _blurred(picture, generator.uniform(0.001, 0.02) * size)
    mean = picture.mean(axis=(0, 1))
    tint = generator.uniform(0.85, 1.15, 3)
    return (mean + (picture - mean) * generator.uniform(0.6, 1.1)) * tint * generator.uniform(0.6, 1.25)


@lru_cache(maxsize=len(_PICTURES))
def _load(package: str, path: str) -> Image.Image:
    """A picture inside an installed package, found without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{package} is not installed; the backgrounds need its {path}")
    with Image.open(Path(spec.submodule_search_locations[0]) / path) as file:
        picture = file.convert("RGB")
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return picture


def _wall(generator: np.random.Generator, size: int) -> NDArray[np.floating]:
    """A painted wall: a gentle gradient with fine grain."""
    corners = _paint(generator) + generator.uniform(-0.12, 0.12, (2, 2, 1))
    gradient = _enlarged(corners, size)
    grain = gaussian_filter(generator.normal(0, 1, (size, size)), size * 0.004)[..., None]
    return gradient + grain * generator.uniform(0, 0.06)


def _room(generator: np.random.Generator, size: int) -> NDArray[np.floating]:
    """A wall with rectangular things on it (pictures, shelves, windows), out of focus."""
    image = Image.fromarray(
        (_enlarged(_paint(generator) + generator.uniform(-0.1, 0.1, (2, 2, 1)), size).clip(0, 1) * 255).astype(np.uint8)
    )
    canvas = ImageDraw.Draw(image)
    if generator.random() < 0.5:
        horizon = generator.uniform(0.55, 0.9) * size
        canvas.rectangle((0, horizon, size, size), fill=_fill(_paint(generator) * 0.8))
    for _ in range(generator.integers(2, 8)):
        left, top = generator.uniform(-0.1, 0.95, 2) * size
        width, height = generator.uniform(0.05, 0.4, 2) * size
        canvas.rectangle((left, top, left + width, top + height), fill=_fill(_paint(generator)))
    if generator.random() < 0.4:
        _shelf(canvas, generator, size)
    return _blurred(np.asarray(image, np.float32) / 255, generator.uniform(0.004, 0.025) * size)


def _shelf(canvas: ImageDraw.ImageDraw, generator: np.random.Generator, size: int) -> None:
    """Rows of book spines."""
    for row in range(int(generator.integers(1, 4))):
        bottom, x = size * (0.3 + 0.32 * row), 0.0
        while x < size:
            width, height = generator.uniform(0.02, 0.06) * size, generator.uniform(0.16, 0.27) * size
            canvas.rectangle((x, bottom - height, x + width, bottom), fill=_fill(_paint(generator, colourfulness=0.35)))
            x += width


def _lights(generator: np.random.Generator, size: int) -> NDArray[np.floating]:
    """A dark street or stage with lamps out of focus."""
    image = Image.fromarray((_enlarged(generator.uniform(0.02, 0.25, (2, 2, 3)), size) * 255).astype(np.uint8))
    canvas = ImageDraw.Draw(image, "RGBA")
    for _ in range(generator.integers(8, 40)):
        x, y = generator.uniform(0, size, 2)
        radius = generator.uniform(0.01, 0.06) * size
        fill = (*_fill(_paint(generator, colourfulness=0.3) + 0.3), int(generator.uniform(60, 200)))
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    return _blurred(np.asarray(image, np.float32) / 255, generator.uniform(0.004, 0.015) * size)


def _shapes(generator: np.random.Generator, size: int) -> NDArray[np.floating]:
    """Foliage, clouds, fabric: noise of several scales in one family of colours, with random contrast."""
    base, other = _paint(generator), _paint(generator)
    mixing = np.zeros((size, size, 1))
    for cells in (3, 7, 15, 31):
        mixing += _enlarged(generator.normal(0, 1, (cells, cells, 1)), size) / np.sqrt(cells)
    mixing = 0.5 + mixing * generator.uniform(0.2, 0.7)
    return _blurred(
        (base + mixing.clip(0, 1) * (other - base)).astype(np.float32), generator.uniform(0.001, 0.01) * size
    )


def _paint(generator: np.random.Generator, *, colourfulness: float = 0.13) -> NDArray[np.floating]:
    """An sRGB colour; most things in rooms are not far from grey."""
    return (generator.uniform(0.12, 0.92) + generator.normal(0, colourfulness, 3)).clip(0.02, 0.98)


def _fill(colour: NDArray[np.floating]) -> tuple[int, int, int]:
    red, green, blue = (colour.clip(0, 1) * 255).astype(int).tolist()
    return red, green, blue


def _enlarged(cells: NDArray[np.floating], size: int) -> NDArray[np.floating]:
    """A coarse picture (h, w, C) at full size."""
    channels = [
        Image.fromarray(cells[..., c].astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
        for c in range(cells.shape[-1])
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def _blurred(picture: NDArray[np.floating], sigma: float) -> NDArray[np.floating]:
    """Out of focus by `sigma` pixels."""
    blurred: NDArray[np.floating] = gaussian_filter(picture, (sigma, sigma, 0), mode="nearest", truncate=2.5)
    return blurred
