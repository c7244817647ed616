"""Reconstructed faces on the page: pictures, mesh files and a viewer for each; and scans with their errors to turn."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from models.protocols import Protocol
from pipelines.dataset import crops
from pipelines.reporting.artist import Artist
from pipelines.reporting.clip_errors import clip_errors, shown_methods
from pipelines.reporting.comparisons import GALLERY_COLUMNS, everything
from pipelines.reporting.material import Material
from pipelines.reporting.meshes import write_meshes
from pipelines.reporting.predictions import is_finite
from pipelines.reporting.viewer.document import write_viewer
from pipelines.reporting.viewer.faces import face_scene
from pipelines.reporting.viewer.scans import scan_scene
from pipelines.shape_scoring import ShapeScoring

_MOST_FACES = 12  # browsers keep about sixteen 3D views alive
_FACES, _SCANS = "faces", "scans"


class Picture(NamedTuple):
    """A picture of a face: its file, relative to the page, and what it shows."""

    file: str
    title: str


class Face(NamedTuple):
    """A reconstruction on the page."""

    key: str
    name: str
    synthetic: bool
    pictures: list[Picture]
    has_mesh: bool


class ScanView(NamedTuple):
    """A scan with errors that can be turned."""

    file: str
    title: str


def write_faces(artist: Artist, material: Material, output: Path) -> list[Face]:
    """The real photographs and one synthetic one, drawn and exported."""
    names = crops(material.labels / "aligned", "test", "extra").set_index("key")["name"]
    real = material.real_keys()[:_MOST_FACES]
    synthetic = [key for key in material.examples(len(real) + 1) if key not in real][:1]
    faces = []
    for key in [*real, *synthetic]:
        coefficients = material.predictions("full").of(key)
        usable = is_finite(coefficients)
        name = str(names[key])
        if usable:
            write_meshes(output / _FACES, key, artist.model, coefficients)
            scene = face_scene(name, artist.model, coefficients, artist.camera)
            write_viewer(output / _FACES / f"{key}.html", scene, artist.camera)
        faces.append(Face(key, name, key in synthetic, _pictures(artist, material, key, output), usable))
    return faces


def _pictures(artist: Artist, material: Material, key: str, output: Path) -> list[Picture]:
    """What the full model recovers from a photograph; only the photograph where training diverged."""
    pictures = []
    for title, cell in zip(GALLERY_COLUMNS, everything(artist, material, key), strict=True):
        if isinstance(cell, np.ndarray):
            pictures.append(Picture(f"{_FACES}/{key}-{title}.png", title))
            path = output / pictures[-1].file
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.round(cell.clip(0, 1) * 255).astype(np.uint8)).save(path)
    return pictures


def write_scans(
    artist: Artist, scoring: ShapeScoring, predictions: Path, output: Path, protocol: Protocol, variants: Sequence[str]
) -> list[ScanView]:
    """The scans of Figure 6, coloured by the error of each method."""
    methods, views = shown_methods(variants), []
    for clip in clip_errors(scoring, predictions, protocol, tuple(methods)):
        title = f"{clip.sample.condition}, {clip.sample.subject.replace('_', ' ')}"
        views.append(ScanView(f"{_SCANS}/{clip.sample.condition}.html", title))
        write_viewer(output / views[-1].file, scan_scene(title, clip, methods), artist.camera)
    return views
