"""Stage predict: one variant on every benchmark that its tables need."""

import math

from stages._params import load_params
from stages._stage import PathFlag, TextFlag, run_stage


def predict(
    *,
    variant: TextFlag,
    face_model: PathFlag,
    weights: PathFlag,
    labels: PathFlag,
    recognizer: PathFlag,
    benchmarks: PathFlag,
    output: PathFlag,
) -> None:
    """Predict coefficients and meshes with one variant of the regressor."""
    params = load_params()
    from pydantic import TypeAdapter

    from models.camera import Camera
    from pipelines.params import Variant
    from pipelines.variant_prediction import VariantInputs, predict_variant

    predict_variant(
        TypeAdapter(Variant).validate_python(variant),
        VariantInputs(face_model, weights, labels, recognizer, benchmarks),
        output,
        camera=Camera(math.radians(params.camera.field_of_view_degrees), params.camera.distance_mm),
        crop_size=params.camera.crop_size,
        train=params.train,
        params=params.predict,
    )


if __name__ == "__main__":
    run_stage(predict)
