"""Makes the face model that everything else uses."""

from stages._params import load_params
from stages._stage import PathFlag, run_stage


def face_model(*, output: PathFlag) -> None:
    """Build the morphable face model and write it as HDF5."""
    params = load_params()
    from pipelines.face_model_file import save_face_model
    from pipelines.morphable_models.build import build_face_model

    save_face_model(output, build_face_model(params.face_model))


if __name__ == "__main__":
    run_stage(face_model)
