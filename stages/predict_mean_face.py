"""Stage predict_mean_face: the baseline of every table."""

import math

from stages._params import load_params
from stages._stage import PathFlag, run_stage


def predict_mean_face(*, face_model: PathFlag, labels: PathFlag, benchmarks: PathFlag, output: PathFlag) -> None:
    """Predict coefficients and meshes with the mean face, posed by landmarks."""
    params = load_params()
    from models.camera import Camera
    from pipelines.mean_face import predict_mean_face

    predict_mean_face(
        output,
        face_model=face_model,
        labels=labels,
        benchmarks=benchmarks,
        camera=Camera(math.radians(params.camera.field_of_view_degrees), params.camera.distance_mm),
        crop_size=params.camera.crop_size,
        params=params.predict,
    )


if __name__ == "__main__":
    run_stage(predict_mean_face)
