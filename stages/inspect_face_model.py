"""Draws what a face model is made of; no stage of the graph, for a person's eyes."""

import math

from stages._params import load_params
from stages._stage import PathFlag, run_stage


def inspect_face_model(*, face_model: PathFlag, output: PathFlag) -> None:
    """Draw mean, modes, landmarks, regions, mouth patch and texture coordinates of a face model as one picture."""
    params = load_params()
    from models.camera import Camera
    from pipelines.face_model_file import load_face_model
    from pipelines.reporting.artist import Artist
    from pipelines.reporting.face_model_inspection import inspection_sheet

    camera = Camera(math.radians(params.camera.field_of_view_degrees), params.camera.distance_mm)
    inspection_sheet(output, Artist(load_face_model(face_model), camera, params.camera.crop_size))


if __name__ == "__main__":
    run_stage(inspect_face_model)
