"""A scan in the viewer, coloured by the error of each method: Figure 6 to turn."""

from collections.abc import Mapping

import numpy as np

from pipelines.reporting.clip_errors import COLOURS, SCALE_MM, ClipErrors, error_choices, error_palette
from pipelines.reporting.viewer.document import Layer, Legend, Scene, packed_studio_light
from pipelines.reporting.viewer.packing import packed_choices, packed_points, packed_triangles

_CLAY = np.full((1, 3), 0.55)  # as in the figures
_STOPS = 17  # of the colour bar


def scan_scene(title: str, clip: ClipErrors, methods: Mapping[str, str]) -> Scene:
    """The scan as one layer for each of the methods, by its title, that has a result, and as bare clay."""
    results = {methods[method]: result for method, result in clip.results.items() if result}
    palette = error_palette()
    colours = [packed_choices(error_choices(clip.scan, result), palette) for result in results.values()]
    bare = packed_choices(np.zeros(len(clip.scan.vertices), np.uint8), _CLAY)
    names = [f"{name}: {result.value_mm:.2f} mm" for name, result in results.items()]
    return Scene(
        title=title,
        mesh={
            "points": packed_points(clip.scan.vertices - clip.centre),
            "triangles": packed_triangles(clip.scan.triangles),
        },
        colours=[*colours, bare],
        lights=[packed_studio_light()],
        layers=[Layer(name, light=0, diffuse=number) for number, name in enumerate([*names, "scan"])],
        legend=_legend(),
    )


def _legend() -> Legend:
    colours = [_css(COLOURS(share)) for share in np.linspace(0, 1, _STOPS)]
    ticks = [f"{value:g}" for value in np.linspace(0, SCALE_MM, 5)]
    return Legend(
        f"point to plane, mm; {SCALE_MM:g} and more in the last colour, grey: not measured",
        colours,
        [*ticks[:-1], f"≥ {ticks[-1]}"],
    )


def _css(rgba: tuple[float, float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * share):02x}" for share in rgba[:3])
