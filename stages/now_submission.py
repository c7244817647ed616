"""Predictions for the NoW benchmark; no stage of the graph, for whoever takes part in it."""

from typing import Annotated

import typer

from stages._params import load_params
from stages._stage import MEMO, PathFlag, run_stage


def now_submission(
    *,
    now: PathFlag,
    face_model: PathFlag,
    weights: PathFlag,
    output: PathFlag,
    image_set: Annotated[str, typer.Option()] = "validation",
) -> None:
    """Write one variant's neutral meshes and landmarks for the NoW benchmark, and its errors where there are scans."""
    params = load_params()
    from pydantic import TypeAdapter

    from pipelines.now.evaluation import evaluate_submission
    from pipelines.now.reader import ImageSet
    from pipelines.now.submission import SubmissionInputs, write_submission

    inputs = SubmissionInputs(
        now=now,
        face_model=face_model,
        weights=weights,
        memo=MEMO,
        align=params.align,
        crop_size=params.camera.crop_size,
        batch_size=params.predict.batch_size,
    )
    samples = write_submission(inputs, TypeAdapter(ImageSet).validate_python(image_set), output)
    evaluate_submission(now, samples, output, iterations=params.evaluate.iterations)


if __name__ == "__main__":
    run_stage(now_submission)
