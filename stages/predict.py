"""Stage predict: one method on every benchmark that its tables need."""

import math
from pathlib import Path
from typing import Annotated

import typer

from stages._params import load_params
from stages._stage import PathFlag, TextFlag, run_stage


def predict(
    *,
    method: TextFlag,
    face_model: PathFlag,
    labels: PathFlag,
    benchmarks: PathFlag,
    output: PathFlag,
    weights: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Predict coefficients and meshes with one variant, or with the mean face (which has no weights)."""
    params = load_params()
    from models.camera import Camera
    from pipelines.prediction import predict_method

    predict_method(
        method,
        output,
        face_model=face_model,
        weights=weights,
        labels=labels,
        benchmarks=benchmarks,
        camera=Camera(math.radians(params.camera.field_of_view_degrees), params.camera.distance_mm),
        crop_size=params.camera.crop_size,
        params=params.predict,
    )


if __name__ == "__main__":
    run_stage(predict)
