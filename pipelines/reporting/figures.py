"""Draws every figure of the report."""

import math
from pathlib import Path
from typing import NamedTuple

from models.camera import Camera
from models.icp import IcpSettings
from models.protocols import PROTOCOLS
from pipelines.face_model_file import load_face_model
from pipelines.params import BenchmarksParams, CameraParams, EvaluateParams
from pipelines.reporting.artist import Artist
from pipelines.reporting.comparisons import ablation_figure, gallery_figure, mouth_figure, uniform_loss_figure
from pipelines.reporting.curves import network_curves, regressor_curves
from pipelines.reporting.error_maps import error_map_figure
from pipelines.reporting.face_model_sheet import face_model_figure
from pipelines.reporting.material import Material

_FINER = 2  # figures are drawn so many times larger than the crops, for print
TWIN = "twin"  # in `benchmarks.<name>`: the embedded stand-in instead of the real data set


class FigureInputs(NamedTuple):
    """The folders that figures are made from."""

    face_model: Path
    labels: Path
    benchmarks: Path
    predictions: Path
    weights: Path


def draw_figures(
    inputs: FigureInputs,
    output: Path,
    *,
    camera: CameraParams,
    evaluate: EvaluateParams,
    benchmarks: BenchmarksParams,
    variants: tuple[str, ...],
    examples: int,
) -> None:
    """Write the face model's sheet, Figs. 3 to 7 and the training curves as PNG files."""
    model = load_face_model(inputs.face_model)
    artist = Artist(model, camera_of(camera), camera.crop_size * _FINER)
    material = Material(inputs.labels, inputs.predictions, variants)
    face_model_figure(output / "face_model.png", Artist(model, camera_of(camera), camera.crop_size))
    uniform_loss_figure(output / "figure3_uniform_loss.png", artist, material, examples)
    ablation_figure(output / "figure4_ablation.png", artist, material, examples)
    mouth_figure(output / "figure5_inner_mouth.png", artist, material, examples)
    error_map_figure(
        output / "figure6_micc.png",
        artist,
        inputs.benchmarks / "micc",
        inputs.predictions,
        variants=variants,
        protocol=PROTOCOLS[evaluate.protocol],
        icp=IcpSettings(evaluate.iterations, evaluate.kept_fraction),
        is_twin=benchmarks.micc == TWIN,
    )
    gallery_figure(output / "figure7_gallery.png", artist, material, examples)
    regressor_curves(output / "curves_regressor.png", inputs.weights, variants)
    network_curves(output / "curves_networks.png", inputs.weights)


def camera_of(params: CameraParams) -> Camera:
    """The camera of Eq. 3 that the parameters describe."""
    return Camera(math.radians(params.field_of_view_degrees), params.distance_mm)
