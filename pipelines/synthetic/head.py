"""What surrounds a face: the back of the head, ears, neck and clothed shoulders, fitted to the face.

Everything is authored for an average head in mm about the point between the ears at eye level (x to the person's left,
y up, z forward) and then stretched to the face: `HeadFrame`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.face import Face
from pipelines.synthetic.hair import HairStyle, hair_meshes
from pipelines.synthetic.meshes import Array, Mesh, grid_triangles, solid, waves
from pipelines.synthetic.skull import HeadFrame, HeadSurface, head_frame, head_surface

_EAR_TILT, _EAR_FLARE = 0.16, 0.5  # radians; leaning back, standing off
_CLOTH_TOP = -158.0  # mm below the eyes, at the sides of the neck


class Head(NamedTuple):
    """The parts of a head that do not move with the face; `skull.back_of_head` joins them to it."""

    frame: HeadFrame
    surface: HeadSurface
    skin_rgb: Array
    hair_rgb: Array
    body: tuple[Mesh, ...]  # neck, shoulders and ears
    hair: tuple[Mesh, ...]


def build_head(face: Face, skin_rgb: Array, style: HairStyle) -> Head:
    """Head, hair and shoulders around a face with a neutral expression; one person's photographs share them."""
    generator = np.random.default_rng(style.seed)
    frame = head_frame(face.landmarks)
    surface = head_surface(face, frame)
    body = (_neck(frame, face, skin_rgb, generator), *_shoulders(frame, generator), *_ears(frame, skin_rgb, style))
    return Head(frame, surface, skin_rgb, style.rgb, body, hair_meshes(frame, surface, style))


def _neck(frame: HeadFrame, face: Face, skin_rgb: Array, generator: np.random.Generator) -> Mesh:
    """A tube from inside the head to below the collar, darker under the chin where less light arrives."""
    heights = np.linspace(-50, -260, 20)
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    thickness = generator.uniform(0.88, 1.05)
    flare = 1 + 0.9 * np.clip((-heights - 140) / 90, 0, None) ** 2
    x = 57 * thickness * flare[:, None] * np.sin(angle)
    chin = float(frame.measure(face.landmarks[8])[2])
    middle = min(-6.0, chin - 24.0 - 56 * thickness + 11.0)  # never in front of a receding chin
    z = (middle + 0.10 * heights)[:, None] + 56 * thickness * np.sqrt(flare)[:, None] * np.cos(angle)
    muscle = 3.0 * np.exp(-(((np.abs(angle - np.pi) - 2.4) / 0.25) ** 2))  # the two cords at the front
    y = np.broadcast_to(heights[:, None], x.shape)
    vertices = np.stack([x, y, z + muscle], axis=-1).reshape(-1, 3)
    shade = np.clip(0.55 + 0.45 * (-y.ravel() - 100) / 50, 0.55, 0.95)
    triangles = grid_triangles(len(heights), len(angle), closed=True)
    return solid(frame.place(vertices), triangles, skin_rgb * shade[:, None], shine=0.06, segment="background")


def _shoulders(frame: HeadFrame, generator: np.random.Generator) -> list[Mesh]:
    """A garment: rings from the collar outwards and down, of one colour, striped or mottled."""
    build = generator.uniform(0.88, 1.12)
    depth = generator.uniform(-14, 14)  # how low the neckline sits
    #                  height below eyes, half width, half depth
    rings = np.array(
        [(-140, 66, 62), (-152, 74, 68), (-162, 104, 78), (-176, 148, 90), (-196, 186, 100), (-230, 208, 106)]
    )
    rings = np.concatenate([rings, [(-290, 214, 110), (-420, 210, 112)]])
    steps = np.linspace(0, len(rings) - 1, 40)
    height, width, thick = (np.interp(steps, np.arange(len(rings)), column)[:, None] for column in rings.T)
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)[None]
    front = np.clip(np.cos(angle), 0, None) * np.clip(1 - (steps[:, None] / 3.5), 0, 1)
    y = height + depth - front * 26  # necklines dip at the front
    x = width * build * np.sin(angle)
    z = -30 + thick * np.cos(angle)
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    colour = _cloth_colour(vertices, generator)
    triangles = grid_triangles(len(steps), angle.shape[1], closed=True)
    return [solid(frame.place(vertices), triangles, colour, shine=0.01, segment="background")]


def _cloth_colour(vertices: NDArray[np.floating], generator: np.random.Generator) -> NDArray[np.floating]:
    """Linear RGB for each vertex of the garment."""
    colour, other = (generator.uniform(0.02, 0.6) * generator.dirichlet((9, 9, 9)) * 2 for _ in range(2))
    kind = generator.choice(["plain", "striped", "mottled"], p=[0.6, 0.2, 0.2])
    folds = 1 + 0.1 * waves(vertices / 40, generator, 1.0)[:, None]
    if kind == "plain":
        return (colour * folds).clip(0.005, 0.9)
    if kind == "striped":
        mixing = (np.sin(vertices[:, 1:2] / generator.uniform(3, 8)) > 0).astype(np.float32)
    else:
        mixing = (waves(vertices / 12, generator, 1.0)[:, None] > 0.6).astype(np.float32)
    return ((colour + mixing * (other - colour)) * folds).clip(0.005, 0.9)


def _ears(frame: HeadFrame, skin_rgb: Array, style: HairStyle) -> list[Mesh]:
    """Both ears, or none where the hair lies over them."""
    if style.covers_ears:
        return []
    return [_ear(frame, skin_rgb, side) for side in (-1.0, 1.0)]


def _ear(frame: HeadFrame, skin_rgb: Array, side: float) -> Mesh:
    """A shell with a rolled rim, a hollow and a lobe, attached at its front edge."""
    around = np.linspace(0, 2 * np.pi, 36, endpoint=False)[None]
    out = np.linspace(0.02, 1, 14)[:, None]
    lobe = np.clip(-np.sin(around), 0, 1)  # narrower below
    length = 31 * out * np.sin(around)
    breadth = (18.5 - 6.5 * lobe**2) * out * np.cos(around) + 2.0 * np.sin(around)
    rim = 3.6 * np.exp(-(((out - 0.9) / 0.1) ** 2)) * (1 - 0.7 * lobe**4)
    fold = 2.6 * np.exp(-(((out - 0.6) / 0.12) ** 2)) * np.clip(0.4 - np.cos(around), 0, 1)
    hollow = -5.5 * np.exp(-((out / 0.45) ** 2))
    height = rim + fold + hollow + 0.0 * around
    shade = 0.93 + 0.035 * np.clip(height, -6, 3.0)
    up = length * np.cos(_EAR_TILT) + breadth * np.sin(_EAR_TILT)
    forward = breadth * np.cos(_EAR_TILT) - length * np.sin(_EAR_TILT)
    outward = height + 2.0 + (14 - forward) * np.sin(_EAR_FLARE)
    backward = -(14 - forward) * np.cos(_EAR_FLARE)
    vertices = np.stack([side * (67.0 + outward), up - 19.0, backward - 2.0], axis=-1).reshape(-1, 3)
    redder = skin_rgb * np.array([1.0, 0.86, 0.84])
    triangles = grid_triangles(out.shape[0], around.shape[1], closed=True)
    colour = redder * shade.reshape(-1, 1).clip(0.6, 1.05)
    return solid(frame.place(vertices), triangles, colour, shine=0.08, segment="background")
