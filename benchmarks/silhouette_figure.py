"""The figure of `benchmarks.silhouette`: how every pixel of a mask changes with one parameter, by three accounts."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.face_meshes import Mesh, face_mesh, mouth_mesh
from benchmarks.silhouette import CAMERA, SIZE, STEP, box_filtered
from models.camera import camera_from_model, clip_from_camera
from models.face_model import FaceModelArrays
from models.rasterizer import coverage, edge_gradient, edges, rasterize
from pipelines.reporting.sheet import new_figure, save

VERTICES = 37000
YAW_DEGREES, SCALE = 30.0, 0.875
DETAIL = (slice(70, 94), slice(13, 45))  # rows and columns of the part that is enlarged
ACCOUNTS = ("finite differences", "micro-edges (ours)", "pixel-pair antialiasing")


class Row(NamedTuple):
    """One line of the figure."""

    label: str
    changes: list[Tensor]  # of the pixels (H, W), one account after the other
    rows: slice
    columns: slice


def save_figure(arrays: FaceModelArrays, path: Path) -> None:
    """Draw the changes of the mask of a dense face, whole and enlarged, and of the inner mouth."""
    face = face_mesh(arrays, VERTICES)
    shift = mask_changes(_clip(face), _one_pixel(_clip(face, shift_mm=1.0) - _clip(face)), face.triangles)
    mouth, wider = mouth_mesh(arrays, 0.6), mouth_mesh(arrays, 0.7)
    opening = mask_changes(_clip(mouth), _one_pixel(_clip(wider) - _clip(mouth)), mouth.triangles)
    lines = [
        Row(f"face, {VERTICES:,} vertices,\nmoves right by a pixel", shift, *_box(shift[0], margin=5)),
        Row("the same, enlarged", shift, *DETAIL),
        Row(f"inner mouth,\n{len(mouth.triangles)} triangles,\nopens by a pixel", opening, *_box(opening[0], margin=3)),
    ]
    shapes = [line.changes[0][line.rows, line.columns].shape for line in lines]
    heights = [height / width for height, width in shapes]
    options = {"height_ratios": heights}
    figure, axes = new_figure(nrows=3, ncols=3, figsize=(7.0, 2.1 * sum(heights) + 1.9), gridspec_kw=options)
    for axis, account in zip(axes[0], ACCOUNTS, strict=True):
        axis.set_title(account)
    for line, cells in zip(lines, axes, strict=True):
        cells[0].set_ylabel(line.label)
        for axis, change in zip(cells, line.changes, strict=True):
            shown = change[line.rows, line.columns]
            drawn = axis.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
            axis.set(xticks=[], yticks=[], xlabel=f"sum of sizes {float(shown.abs().sum()):.0f} px")
    bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.5, aspect=40, ticks=[-1, -0.5, 0, 0.5, 1])
    bar.set_label("change of a pixel's coverage")
    save(figure, path)


def mask_changes(clip: Tensor, move: Tensor, triangles: Tensor) -> list[Tensor]:
    """Change of every pixel (H, W) of a mask along a motion of clip coordinates (1, V, 4), in the order of ACCOUNTS."""
    white = torch.ones(clip.shape[1], 1)
    forth, back = (box_filtered((clip + sign * STEP * move)[0], triangles, white, SIZE)[..., 0] for sign in (1, -1))
    ids = rasterize(clip, triangles, (SIZE, SIZE))
    mask = coverage(ids)
    # Both operators are written for the backward pass, which is linear in the gradient that comes in: its derivative
    # with respect to that gradient is the change of all pixels at once.
    gradient = torch.zeros_like(mask).requires_grad_()
    ours = edges.edge_backward(mask, gradient, clip, triangles, ids, occlusion=False)
    moved = clip.clone().requires_grad_()
    blended = edge_gradient(mask, moved, triangles, ids, method="pixel_pair")
    (theirs,) = torch.autograd.grad(blended, moved, gradient, create_graph=True)
    changes = [torch.autograd.grad((to_clip * move).sum(), gradient)[0][0, ..., 0] for to_clip in (ours, theirs)]
    return [((forth - back) / (2 * STEP)).float(), *changes]


def _clip(mesh: Mesh, shift_mm: float = 0.0) -> Tensor:
    """Clip coordinates (1, V, 4) of the turned face."""
    turn = torch.tensor([[0.0, np.radians(YAW_DEGREES), 0.0]]).float()
    points = camera_from_model(mesh.vertices[None], turn, torch.zeros(1, 3), torch.full((1, 1), SCALE))
    return clip_from_camera(points + torch.tensor([shift_mm, 0.0, 0.0]), CAMERA)


def _one_pixel(move: Tensor) -> Tensor:
    """The motion, scaled so that the vertex that moves farthest moves by one pixel or a little less."""
    farthest = move[..., :2].norm(dim=-1).max()
    return move * (2 / SIZE * CAMERA.distance_mm / farthest)


def _box(change: Tensor, *, margin: int) -> tuple[slice, slice]:
    """Rows and columns around all that changes."""
    places = change.nonzero()
    (top, left), (bottom, right) = places.amin(dim=0).tolist(), places.amax(dim=0).tolist()
    return slice(top - margin, bottom + margin + 1), slice(left - margin, right + margin + 1)
