"""Stage train: one variant of the regressor, with the paper's losses."""

import math

from stages._params import load_params
from stages._stage import MEMO, PathFlag, TextFlag, run_stage


def train(
    *,
    variant: TextFlag,
    face_model: PathFlag,
    labels: PathFlag,
    recognizer: PathFlag,
    pretrained: PathFlag,
    output: PathFlag,
) -> None:
    """Train one variant of the regressor (Sec. 4)."""
    params = load_params()
    from pydantic import TypeAdapter

    from models.camera import Camera
    from pipelines.params import Variant
    from pipelines.training import TrainingInputs, train_regressor

    train_regressor(
        TypeAdapter(Variant).validate_python(variant),
        TrainingInputs(face_model, labels, recognizer, pretrained),
        output,
        camera=Camera(math.radians(params.camera.field_of_view_degrees), params.camera.distance_mm),
        crop_size=params.camera.crop_size,
        regressor=params.regressor,
        params=params.train,
        experiment=params.track.experiment,
        memo=MEMO,
    )


if __name__ == "__main__":
    run_stage(train)
