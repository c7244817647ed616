"""Hair styles: a cap of strands between the crown and a hairline from the forehead around the ears to the nape."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.meshes import Array, Mesh, grid_triangles, solid, waves
from pipelines.synthetic.skull import HeadFrame, HeadSurface, skull_points

_COLUMNS, _ROWS = 240, 40
_HANGING_MM = 98.0  # mm that hair falls for each radian beyond the widest part of the head
_STYLES = ("bald", "buzz", "short", "medium", "long", "curly")
_STYLE_CHANCES = (0.06, 0.12, 0.28, 0.18, 0.26, 0.10)


class HairStyle(NamedTuple):
    """One person's hair; lengths in mm of an average head."""

    name: str
    rgb: Array  # (3,) linear
    seed: int  # of strands, neck and clothes
    volume: float  # thickness of the cap
    hairline: float  # height above the eyes at the middle of the forehead
    receding: float  # how much higher the corners of the forehead are
    parting: float  # radians, where the hairline is highest
    length: float  # height below the eyes where long hair ends

    @property
    def covers_ears(self) -> bool:
        """Whether the hair hangs over the ears."""
        return self.name == "long"


def draw_hair_style(rgb: Array, generator: np.random.Generator) -> HairStyle:
    """A random style of the given linear colour."""
    name = str(generator.choice(_STYLES, p=_STYLE_CHANCES))
    low, high = {
        "bald": (0.0, 0.1), "buzz": (1.5, 3.0), "short": (5, 13), "medium": (12, 22), "long": (7, 16), "curly": (18, 42)
    }[name]  # fmt: skip
    fringe = name in ("short", "medium", "long") and generator.random() < 0.3
    return HairStyle(
        name=name,
        rgb=rgb.astype(np.float32),
        seed=int(generator.integers(2**31)),
        volume=generator.uniform(low, high),
        hairline=generator.uniform(24, 48) if fringe else generator.uniform(60, 76),
        receding=0.0 if fringe else generator.gamma(1.5, 3.0),
        parting=generator.uniform(-0.6, 0.6),
        length=generator.uniform(70, 190),
    )


def hair_meshes(frame: HeadFrame, surface: HeadSurface, style: HairStyle) -> tuple[Mesh, ...]:
    """The hair of one person; empty for the bald."""
    if style.name == "bald":
        return ()
    generator = np.random.default_rng([style.seed, 1])
    azimuth = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)
    lowest = _hairline(azimuth, style, generator)
    part = np.linspace(0.01, 1, _ROWS)[:, None]  # crown to hairline
    polar = part * _polar_angle(lowest)
    directions = _directions(polar, azimuth[None])
    thickness = _thickness(part, azimuth, style, generator)
    points = _cap(surface, directions, polar, thickness)
    colour = style.rgb * _strands(azimuth, part, style, generator)[..., None]
    triangles = grid_triangles(_ROWS, _COLUMNS, closed=True)
    shine = 0.01 if style.name in ("curly", "buzz") else 0.035
    return (solid(frame.place(points.reshape(-1, 3)), triangles, colour.reshape(-1, 3), shine=shine, segment="hair"),)


def _hairline(azimuth: NDArray[np.floating], style: HairStyle, generator: np.random.Generator) -> NDArray[np.floating]:
    """Height of the lower edge of the hair above the eyes, mm, around the head (0 is the front)."""
    degrees = np.abs(np.degrees(azimuth))
    top, corner = style.hairline, style.hairline - 6 + style.receding
    sideburn = generator.uniform(-22, 8)
    if style.name == "long":
        points = [0, 22, 40, 56, 66, 76, 180]
        heights = [top, top - 1, corner - 4, 34, 0, -style.length, -style.length]
    else:
        nape = -62 if style.name != "medium" else generator.uniform(-95, -70)
        points = [0, 22, 40, 56, 68, 76, 84, 92, 108, 124, 180]
        heights = [top, top - 1, corner - 6, 48, 34, sideburn, sideburn, 16, 18, -34, nape]
    line = np.interp(degrees, points, heights)
    line += np.clip(1 - degrees / 45, 0, 1) * 5 * np.cos(azimuth - style.parting)
    around = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
    ragged = 0.7 if style.name == "buzz" else generator.uniform(0.8, 2.4)
    locks = waves(around, generator, 14.0) + 0.6 * waves(around, generator, 40.0)
    result: NDArray[np.floating] = line + ragged * locks
    return result


def _polar_angle(height: NDArray[np.floating]) -> NDArray[np.floating]:
    """Angle from the crown, radians, at which the cap reaches a height above the eyes; beyond the equator it hangs."""
    centre, reach = 15.0, 98.0  # the skull's centre above the eyes and its half height
    above = np.arccos(((height - centre) / reach).clip(-1, 1))
    return np.where(height > centre, above, np.pi / 2 + (centre - height) / _HANGING_MM)


def _directions(polar: NDArray[np.floating], azimuth: NDArray[np.floating]) -> NDArray[np.floating]:
    """Unit directions (R, C, 3) of the skull; below the equator they stay level, the hair hangs from there."""
    level = np.minimum(polar, np.pi / 2)
    x, z = np.sin(level) * np.sin(azimuth), np.sin(level) * np.cos(azimuth)
    return np.stack([x, np.cos(level), z], axis=-1)


def _cap(
    surface: HeadSurface, directions: NDArray[np.floating], polar: NDArray[np.floating], thickness: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Points (R, C, 3) of the average head: the bald surface plus thickness, then falling straight down."""
    radius = surface.radius(directions.reshape(-1, 3)).reshape(polar.shape)
    points = skull_points(directions, radius + thickness / 88.0)
    fall = np.clip(polar - np.pi / 2, 0, None)
    points[..., 1] -= fall * _HANGING_MM
    inward = (
        np.clip(fall - 0.25, 0, 0.5) * 0.35 * (points[..., 2] < 0)
    )  # the nape lies closer than the back of the head
    points[..., 0] *= 1 - 0.25 * inward
    points[..., 2] *= 1 - inward
    return points


def _thickness(
    part: NDArray[np.floating], azimuth: NDArray[np.floating], style: HairStyle, generator: np.random.Generator
) -> NDArray[np.floating]:
    """Thickness of the hair in mm (R, C): thin at the hairline, with locks along the strands."""
    around = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
    rise = np.sqrt(np.clip((1 - part) / 0.22, 0, 1))
    edge = 1.5 if style.name == "buzz" else 3.0
    if style.name == "curly":
        grid = np.stack(np.broadcast_arrays(part * 3.0, np.cos(azimuth), np.sin(azimuth)), axis=-1).reshape(-1, 3)
        lumps = (2.2 * waves(grid, generator, 7.0) + 1.6 * waves(grid, generator, 14.0)).reshape(_ROWS, _COLUMNS)
    else:
        lumps = min(style.volume / 8, 1.4) * (waves(around, generator, 9.0) + 0.7 * waves(around, generator, 25.0))
    parted = np.exp(-(((azimuth - style.parting) / 0.1) ** 2)) * np.clip(part * 3, 0, 1) * 0.3 * style.volume
    return edge + (style.volume + lumps - parted).clip(0) * rise


def _strands(
    azimuth: NDArray[np.floating], part: NDArray[np.floating], style: HairStyle, generator: np.random.Generator
) -> NDArray[np.floating]:
    """Brightness (R, C) of the hair about 1: streaks from the crown outwards, darker towards the roots' edge."""
    columns = np.stack(
        np.broadcast_arrays(np.cos(azimuth), np.sin(azimuth), 0.12 * part + 0.0 * azimuth), axis=-1
    ).reshape(-1, 3)
    coarse, fine = waves(columns, generator, 14.0), waves(columns, generator, 45.0)
    streaks = (0.13 * coarse + 0.16 * fine).reshape(part.shape[0], -1)
    if style.name in ("curly", "buzz"):
        streaks = generator.normal(0, 0.2, streaks.shape)
    shade = 0.8 + 0.3 * np.sqrt(np.clip((1 - part) / 0.3, 0, 1))
    result: NDArray[np.floating] = ((1 + streaks) * shade).clip(0.3, 1.8)
    return result
