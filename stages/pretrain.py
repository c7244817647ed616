"""Stage pretrain: the warm start that all variants share."""

import math

from stages._params import load_params
from stages._stage import MEMO, PathFlag, run_stage


def pretrain(
    *, face_model: PathFlag, aligned: PathFlag, truth: PathFlag, landmark_weights: PathFlag, output: PathFlag
) -> None:
    """Train the regressor on the known coefficients of synthetic photographs."""
    params = load_params()
    from models.camera import Camera
    from pipelines.pretraining import pretrain_regressor

    pretrain_regressor(
        face_model,
        aligned,
        truth,
        landmark_weights,
        output,
        camera=Camera(math.radians(params.camera.field_of_view_degrees), params.camera.distance_mm),
        crop_size=params.camera.crop_size,
        regressor=params.regressor,
        params=params.pretrain,
        memo=MEMO,
    )


if __name__ == "__main__":
    run_stage(pretrain)
