"""What lens, sensor and compression do to a picture."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter


class Sensor(NamedTuple):
    """One photograph's flaws."""

    blur_px: float
    resolution: float  # fraction of the pixels' number along a side that the lens resolves
    noise: float  # standard deviation in 0..1
    jpeg_quality: int
    seed: int


def draw_sensor(generator: np.random.Generator) -> Sensor:
    """Random flaws, mostly small."""
    return Sensor(
        blur_px=float(generator.uniform(0.25, 1.0)) if generator.random() < 0.4 else 0.0,
        resolution=float(generator.uniform(0.45, 0.9)) if generator.random() < 0.2 else 1.0,
        noise=float(generator.gamma(1.5, 0.005)),
        jpeg_quality=int(generator.integers(75, 97)),
        seed=int(generator.integers(2**31)),
    )


def developed(picture: NDArray[np.float32], sensor: Sensor) -> NDArray[np.uint8]:
    """The 8-bit picture that the sensor delivers of an sRGB picture (S, S, 3) in 0..1, before compression."""
    size = picture.shape[0]
    if sensor.resolution < 1:
        picture = _resampled(_resampled(picture, round(size * sensor.resolution)), size)
    if sensor.blur_px > 0:
        picture = gaussian_filter(picture, (sensor.blur_px, sensor.blur_px, 0), mode="nearest", truncate=3.0)
    generator = np.random.default_rng(sensor.seed)
    noise = generator.standard_normal(picture.shape, np.float32) * np.float32(sensor.noise)
    return ((picture + noise).clip(0, 1) * 255).round().astype(np.uint8)


def _resampled(picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    channels = [
        Image.fromarray(picture[..., channel]).resize((size, size), Image.Resampling.BILINEAR) for channel in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)
