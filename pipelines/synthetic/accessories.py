"""Glasses and hats as meshes that fit one head."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.head import Head
from pipelines.synthetic.meshes import Array, Mesh, grid_triangles, solid, tube, waves
from pipelines.synthetic.skull import skull_directions, skull_points

_GLASSES = ("round", "square", "sun")
_HATS = ("beanie", "cap")
_UNDER_HAT_MM = 4.0  # thickness of hair under a hat
_UNDER_HAT_MARGIN_MM = 7.0  # thick hair is pressed a little below the rim too


class Accessories(NamedTuple):
    """What a person wears on one photograph; an empty name is nothing."""

    glasses: str
    hat: str
    glasses_rgb: Array  # (3,) linear
    hat_rgb: Array  # (3,) linear
    seed: int


def draw_accessories(generator: np.random.Generator, *, glasses_fraction: float, hat_fraction: float) -> Accessories:
    """Random glasses and hat, each with the given chance."""
    glasses = str(generator.choice(_GLASSES)) if generator.random() < glasses_fraction else ""
    hat = str(generator.choice(_HATS)) if generator.random() < hat_fraction else ""
    frame_rgb = np.full(3, 0.01) if generator.random() < 0.6 else generator.uniform(0.01, 0.3, 3)
    hat_rgb = generator.uniform(0.03, 0.5) * generator.dirichlet((3, 3, 3)) * 2
    return Accessories(
        glasses, hat, frame_rgb.astype(np.float32), hat_rgb.astype(np.float32), int(generator.integers(2**31))
    )


def accessory_meshes(head: Head, landmarks: NDArray[np.floating], worn: Accessories) -> list[Mesh]:
    """Meshes of what is worn, in the frame of the face model."""
    meshes: list[Mesh] = []
    if worn.glasses:
        meshes += _glasses(head, landmarks, worn)
    if worn.hat:
        meshes += _hat(head, worn)
    return meshes


def flattened(hair: Mesh, head: Head, worn: Accessories) -> Mesh:
    """The hair pressed against the head where the hat sits on it."""
    points = head.frame.measure(hair.vertices)
    directions, radius = skull_directions(points)
    azimuth = np.arctan2(directions[:, 0], directions[:, 2])
    pressed = head.surface.radius(directions) + _UNDER_HAT_MM / 88.0
    under = points[:, 1] > _hat_rim(azimuth, worn) - _UNDER_HAT_MARGIN_MM
    return hair._replace(
        vertices=head.frame.place(skull_points(directions, np.where(under, np.minimum(radius, pressed), radius)))
    )


def _glasses(head: Head, landmarks: NDArray[np.floating], worn: Accessories) -> list[Mesh]:
    """Two rims before the eyes, a bridge on the nose and arms to the ears; dark lenses in sunglasses."""
    centres = head.frame.measure(landmarks[36:48]).reshape(2, 6, 3).mean(axis=1)
    bridge_z = float(head.frame.measure(landmarks[27:29])[:, 2].mean())
    front = max(bridge_z + 1.0, float(centres[:, 2].max()) + 13.0)
    half_width, half_height, power = {"round": (22, 20, 2.0), "square": (25, 18, 4.0), "sun": (27, 22, 3.0)}[
        worn.glasses
    ]
    thickness = 1.0 if worn.glasses == "round" else 1.8
    lines, lenses = [], []
    for side, centre in zip((-1.0, 1.0), centres, strict=True):
        rim = _rim(centre, front, side, (half_width, half_height, power))
        lines.append((rim, True))
        lenses.append(rim)
        outer = rim[np.argmax(side * rim[:, 0])]
        ear = np.array([side * 75.0, 8.0, -8.0])
        hinge = outer + np.array([side * 2.0, 4.0, -3.0])
        lines.append((np.stack([outer, hinge, 0.5 * hinge + 0.5 * ear + [side * 2.5, 0.5, 0.0], ear]), False))
    inner = [np.abs(lens[:, 0]).argmin() for lens in lenses]
    ends = [lens[index] for lens, index in zip(lenses, inner, strict=True)]
    middle = (ends[0] + ends[1]) / 2 + np.array([0.0, 3.0, 2.0])
    lines.append((np.stack([ends[0], middle, ends[1]]), False))
    meshes = [_bar(head, line, worn.glasses_rgb, thickness, closed) for line, closed in lines]
    return meshes + ([_lens(head, rim) for rim in lenses] if worn.glasses == "sun" else [])


def _rim(
    centre: NDArray[np.floating], front: float, side: float, form: tuple[float, float, float]
) -> NDArray[np.floating]:
    """A super-ellipse (N, 3) before one eye, wrapped slightly around the face."""
    half_width, half_height, power = form
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    x = side * (np.abs(centre[0]) + 1.5) + half_width * np.sign(cos) * np.abs(cos) ** (2 / power)
    y = centre[1] - 3.0 + half_height * np.sign(sin) * np.abs(sin) ** (2 / power)
    return np.stack([x, y, front - (x / 75) ** 2 * 14], axis=1)


def _bar(head: Head, line: NDArray[np.floating], rgb: Array, radius: float, closed: bool) -> Mesh:
    vertices, triangles = tube(line, radius, closed=closed)
    return solid(head.frame.place(vertices), triangles, rgb, shine=0.25, segment="glasses")


def _lens(head: Head, rim: NDArray[np.floating]) -> Mesh:
    """A dark, shiny sheet within the rim."""
    vertices = np.concatenate([rim.mean(axis=0, keepdims=True), rim])
    around = np.arange(len(rim)) + 1
    triangles = np.stack([np.zeros_like(around), around, np.roll(around, -1)], axis=1).astype(np.int32)
    return solid(head.frame.place(vertices), triangles, np.full(3, 0.006), shine=0.35, segment="glasses")


def _hat(head: Head, worn: Accessories) -> list[Mesh]:
    """A knitted cap or a baseball cap, over hair and skull, down to above the brows."""
    generator = np.random.default_rng(worn.seed)
    azimuth = np.linspace(-np.pi, np.pi, 160, endpoint=False)
    rim = _hat_rim(azimuth, worn)
    part = np.linspace(0.01, 1, 36)[:, None]
    polar = part * np.arccos(((rim - 15.0) / 98.0).clip(-1, 1))
    directions = np.stack([np.sin(polar) * np.sin(azimuth), np.cos(polar), np.sin(polar) * np.cos(azimuth)], axis=-1)
    radius = head.surface.radius(directions.reshape(-1, 3)).reshape(polar.shape)
    over = 9.0 + (
        3.0 * np.cos(40 * azimuth)
        if worn.hat == "beanie"
        else 0.6 * waves(directions.reshape(-1, 3), generator, 3).reshape(polar.shape)
    )
    over = over + 5.0 * (part > 0.86) if worn.hat == "beanie" else over + 14.0 * np.sin(np.pi * part)
    points = skull_points(directions, radius + over / 88.0)
    stripes = 1 - 0.2 * (np.cos(40 * azimuth) < 0) if worn.hat == "beanie" else np.ones_like(azimuth)
    colour = worn.hat_rgb * np.broadcast_to(stripes[None, :, None], (*polar.shape, 1))
    triangles = grid_triangles(*polar.shape, closed=True)
    crown = solid(head.frame.place(points.reshape(-1, 3)), triangles, colour.reshape(-1, 3), shine=0.01, segment="hat")
    return [crown, _peak(head, points[-1], azimuth, worn)] if worn.hat == "cap" else [crown]


def _hat_rim(azimuth: NDArray[np.floating], worn: Accessories) -> NDArray[np.floating]:
    """Height of the hat's edge above the eyes, mm, around the head."""
    low = 42 + worn.seed % 16
    return np.interp(np.abs(np.degrees(azimuth)), (0, 60, 100, 180), (low, low - 8, low - 26, low - 50))


def _peak(head: Head, rim: NDArray[np.floating], azimuth: NDArray[np.floating], worn: Accessories) -> Mesh:
    """The peak of a baseball cap: from the front of the crown's edge forwards and a little down."""
    front = np.flatnonzero(np.abs(azimuth) < 0.95)
    edge, angle = rim[front], azimuth[front] / 0.95
    out = np.linspace(0, 1, 10)[:, None]
    reach = 62 * np.sqrt(np.clip(1 - angle**2, 0, 1))
    x = np.broadcast_to(edge[:, 0], (10, len(front)))
    y = edge[:, 1] - out * 24 * (reach / 62) - 6 * angle**2 * out + 2
    z = edge[:, 2] + out * reach
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    triangles = grid_triangles(10, len(front), closed=False)
    return solid(head.frame.place(points), triangles, worn.hat_rgb * 0.8, shine=0.02, segment="hat")
