"""Writes a viewer: one HTML file with data, shaders and script inside, which opens from a disk without a network."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import torch
from jaxtyping import Float
from markupsafe import Markup
from torch import Tensor

from models.camera import Camera
from pipelines import studio
from pipelines.reporting.viewer.packing import Json

_TEMPLATE = "viewer.html.jinja"
_MOST_LAMPS = 4  # as in `shading.vert`


class Layer(NamedTuple):
    """One way of showing the mesh: which colours, numbered as in the scene, in which light."""

    name: str
    light: int
    diffuse: int | None
    specular: int | None = None
    patch_rgb: tuple[float, float, float] = studio.MOUTH_RGB  # sRGB, of the inner mouth
    patch_behind: bool = False  # where nothing else is, as in pictures; otherwise in its place, as in clay


class Legend(NamedTuple):
    """A colour bar: what it measures, its colours as CSS from the lowest value on, and the words below it."""

    title: str
    colours: list[str]
    ticks: list[str]


class Scene(NamedTuple):
    """What a viewer shows; points in mm, camera frame, in the pose of the first frame."""

    title: str
    mesh: Json
    colours: list[Json]
    lights: list[Json]
    layers: list[Layer]
    legend: Legend | None = None
    gloss: Json | None = None  # shininess of each vertex over the mean, where it is not one number

    @property
    def has_lamp(self) -> bool:
        """Whether there is a highlight to steer."""
        return any(light["lamps"] for light in self.lights)


def write_viewer(path: Path, scene: Scene, camera: Camera) -> None:
    """Write the viewer; the same scene gives the same bytes."""
    fields = {
        "camera": {"focal": camera.focal_length, "distance": camera.distance_mm},
        "mesh": scene.mesh,
        "colours": scene.colours,
        "lights": scene.lights,
        "layers": [layer._asdict() for layer in scene.layers],
        "gloss": scene.gloss,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_template().render(scene=scene, data=_json(fields), source=_source))


def packed_light(
    harmonics: Float[Tensor, "9 3"],
    positions: Float[Tensor, "L 3"],
    strengths: Float[Tensor, "L"],
    shininess: float,
) -> Json:
    """A light for the viewer: harmonics of Eq. 4, point lights of Eq. 5 in mm, camera frame."""
    if len(positions) > _MOST_LAMPS:
        raise ValueError(f"expected at most {_MOST_LAMPS} point lights, got {len(positions)}: see shading.vert")
    return {
        "harmonics": _rounded(harmonics),
        "lamps": _rounded(positions),
        "strengths": _rounded(strengths),
        "shininess": float(f"{shininess:.6g}"),
    }


def packed_studio_light() -> Json:
    """The light of clay: harmonics only."""
    return packed_light(studio.studio_light(), torch.zeros(0, 3), torch.zeros(0), shininess=1.0)


def _rounded(tensor: Tensor) -> list[Any]:
    return [float(f"{value:.6g}") for value in tensor.flatten().tolist()]


def _json(fields: dict[str, Any]) -> Markup:
    """JSON that cannot end the element that it stands in."""
    return Markup(json.dumps(fields, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"))


def _source(name: str) -> Markup:
    """A script or shader beside this file."""
    return Markup((Path(__file__).parent / name).read_text())


def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(_TEMPLATE)
