"""What a person wants to see of a face model before training with it: its modes, landmarks, regions, mouth, texture."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib import colormaps
from numpy.typing import NDArray
from torch import Tensor

from models.face_model import FaceModel
from models.renderer import landmark_pixels, pose_face
from models.segments import SEGMENTS
from pipelines.reporting.artist import Artist, Picture, neutral_coefficients
from pipelines.reporting.face_model_sheet import DEVIATIONS, mean_row, mode_row, save_rows
from pipelines.reporting.sheet import Cell
from pipelines.studio import PAPER

_MARK = (0.85, 0.1, 0.1)  # sRGB
_GREY = 0.7
_INNER_LIPS = (62, 66)  # middle of the upper and of the lower lip


def inspection_sheet(path: Path, artist: Artist) -> None:
    """Mean face; first identity, expression and albedo modes at ±3 standard deviations; then, side by side, the
    landmarks, the segment of each vertex, the mouth patch in red, and the texture coordinates in the vertices' colours.
    """
    groups = {"identity": "shape", "expression": "expression", "albedo": "albedo"}
    rows = [mean_row(artist), *(mode_row(artist, group) for group in groups.values()), _diagrams(artist)]
    labels = ["mean", *(f"{name} ±{DEVIATIONS:g}σ" for name in groups), "landmarks …"]
    save_rows(path, rows, labels, artist.model)


def _diagrams(artist: Artist) -> list[Cell]:
    model, neutral = artist.model, neutral_coefficients(artist.model)
    face = pose_face(model, neutral, artist.camera)
    points = face.points[0]
    marked = artist.clay_mesh(points, model.triangles, model.mouth_triangles)
    palette = torch.from_numpy(colormaps["tab10"](np.arange(len(SEGMENTS)))[:, :3].astype(np.float32))
    regions = artist.clay_mesh(points, model.triangles, colours=palette[model.regions.long()])
    patch = torch.cat([model.triangles, model.mouth_triangles])
    in_patch = torch.zeros(len(points), dtype=torch.bool).index_fill(0, model.mouth_triangles.long().flatten(), True)
    red = torch.where(in_patch[:, None], torch.tensor(_MARK), torch.full((3,), _GREY))
    opened = pose_face(model, neutral._replace(expression=_open_mouth(model)), artist.camera).points[0]
    mouth = artist.clay_mesh(opened, patch, colours=red)
    landmarks = landmark_pixels(model, face, artist.size)[0].numpy()
    return [_with_dots(marked, landmarks), regions, mouth, _texture(artist)]


def _open_mouth(model: FaceModel) -> Float[Tensor, "1 E"]:
    """Coefficients of the mode that moves the inner lips apart most, at two standard deviations."""
    basis = model.expression_basis.unflatten(1, (-1, 3))
    upper, lower = (model.landmark_vertices[index] for index in _INNER_LIPS)
    opening = basis[:, upper, 1] - basis[:, lower, 1]
    widest = opening.abs().argmax()
    return torch.zeros(1, model.expression_size).index_fill(1, widest[None], 2 * float(opening[widest].sign()))


def _with_dots(picture: Picture, pixels: NDArray[np.float32]) -> Picture:
    """The picture with a dot of three pixels at each point (N, 2)."""
    dotted = picture.copy()
    for x, y in np.floor(pixels).astype(int):
        dotted[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = _MARK
    return dotted


def _texture(artist: Artist) -> Picture:
    """Where each vertex lies in the texture, in its mean diffuse colour."""
    arrays, size = artist.model.arrays, artist.size
    picture = np.full((size, size, 3), PAPER, np.float32)
    column, row = (np.stack([arrays.uv[:, 0], 1 - arrays.uv[:, 1]]) * (size - 1)).round().astype(int)
    picture[row, column] = arrays.mean_diffuse.clip(0, 1) ** (1 / 2.2)
    return picture
