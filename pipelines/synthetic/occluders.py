"""What comes between camera and face: a medical mask, a hand, an object at the edge. Drawn on the finished picture."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull

_KINDS = ("mask", "hand", "object")
_HAND_SKIN = np.array([[0.80, 0.62, 0.52], [0.62, 0.44, 0.33], [0.38, 0.25, 0.18]])  # sRGB


class Occluder(NamedTuple):
    """Something in front of the face; an empty kind is nothing."""

    kind: str
    seed: int


def draw_occluder(generator: np.random.Generator, *, fraction: float) -> Occluder:
    """A random occluder with the given chance."""
    kind = str(generator.choice(_KINDS)) if generator.random() < fraction else ""
    return Occluder(kind, int(generator.integers(2**31)))


def paint_occluder(
    picture: NDArray[np.float32], landmarks: NDArray[np.floating], occluder: Occluder
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The picture (S, S, 3), sRGB in 0..1, with the occluder painted over it, and where that is (S, S).

    `landmarks` (68, 2) are pixels of this picture; they say where the face is.
    """
    size = picture.shape[0]
    if not occluder.kind:
        return picture, np.zeros((size, size), np.bool_)
    generator = np.random.default_rng(occluder.seed)
    stencil = Image.new("L", (size, size))
    canvas = ImageDraw.Draw(stencil)
    if occluder.kind == "mask":
        fixed = np.concatenate([landmarks[2:15], landmarks[[28]]])
        outline = fixed[ConvexHull(fixed).vertices]  # the far cheek lies behind the nose in profile
        canvas.polygon([tuple(point) for point in outline.tolist()], fill=255)
        colour = np.array([[0.75, 0.85, 0.92], [0.93, 0.93, 0.93], [0.12, 0.12, 0.14]])[generator.integers(3)]
    elif occluder.kind == "hand":
        _draw_hand(canvas, landmarks, generator)
        colour = _HAND_SKIN[generator.integers(len(_HAND_SKIN))]
    else:
        _draw_object(canvas, landmarks, generator)
        colour = (generator.uniform(0.08, 0.9) + generator.normal(0, 0.1, 3)).clip(0.03, 0.95)
    covered = np.asarray(stencil) > 127
    shade = _relief(covered, size)
    alpha = gaussian_filter(covered.astype(np.float32), 0.6)[..., None]
    painted = picture * (1 - alpha) + alpha * (colour * shade[..., None]).clip(0, 1)
    return painted.astype(np.float32), covered


def _face_size(landmarks: NDArray[np.floating]) -> float:
    return float(np.linalg.norm(np.ptp(landmarks, axis=0)) / np.sqrt(2))


def _draw_hand(canvas: ImageDraw.ImageDraw, landmarks: NDArray[np.floating], generator: np.random.Generator) -> None:
    """A palm at the cheek or the chin with four fingers laid over the face."""
    face = _face_size(landmarks)
    towards = landmarks[generator.choice([30, 48, 54, 57, 33])]
    start = landmarks[generator.choice([2, 4, 12, 14])]
    palm = start + (start - towards) * generator.uniform(0.2, 0.45)
    along = (towards - palm) / max(float(np.linalg.norm(towards - palm)), 1.0)
    across = np.array([-along[1], along[0]])
    radius = 0.2 * face
    canvas.ellipse(_circle(palm, radius), fill=255)
    wrist = palm - along * face * 3  # beyond the picture
    canvas.line([tuple(palm), tuple(wrist)], fill=255, width=int(radius * 1.5))
    for finger, length in zip((-1.5, -0.5, 0.5, 1.5), (0.40, 0.48, 0.46, 0.36), strict=True):
        root = palm + across * finger * radius * 0.5
        tip = root + (along + across * 0.16 * finger) * length * face
        width = radius * 0.44
        canvas.line([tuple(root), tuple(tip)], fill=255, width=int(width))
        canvas.ellipse(_circle(tip, width / 2), fill=255)


def _draw_object(canvas: ImageDraw.ImageDraw, landmarks: NDArray[np.floating], generator: np.random.Generator) -> None:
    """A cup, a telephone or a microphone: a rounded box that reaches in from below or from a side."""
    face = _face_size(landmarks)
    centre = landmarks[generator.choice([4, 6, 8, 10, 12, 57])] + generator.normal(0, 0.08, 2) * face
    width, height = generator.uniform(0.12, 0.28) * face, generator.uniform(0.25, 0.6) * face
    left, top = centre[0] - width, centre[1] - generator.uniform(0.0, 0.4) * height
    canvas.rounded_rectangle((left, top, left + 2 * width, top + 2 * height), radius=0.3 * width, fill=255)


def _circle(centre: NDArray[np.floating], radius: float) -> tuple[float, float, float, float]:
    return (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)


def _relief(covered: NDArray[np.bool_], size: int) -> NDArray[np.floating]:
    """Brightness of the occluder's surface as if its rim curved away from the light above."""
    depth = gaussian_filter(covered.astype(np.float32), size * 0.012)
    slope = np.gradient(depth, axis=0) * size * 0.04
    result: NDArray[np.floating] = (0.62 + 0.38 * depth + 0.35 * slope).clip(0.3, 1.2)
    return result
