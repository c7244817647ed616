"""Stage evaluate: scores, Tables 1 to 5 and metrics."""

import math

from stages._params import load_params
from stages._stage import PathFlag, run_stage


def evaluate(
    *,
    face_model: PathFlag,
    labels: PathFlag,
    truth: PathFlag,
    benchmarks: PathFlag,
    predictions: PathFlag,
    recognizer: PathFlag,
    paper: PathFlag,
    scores: PathFlag,
    tables: PathFlag,
    metrics: PathFlag,
) -> None:
    """Score the predictions of every variant and of the mean face, and average the scores into tables."""
    params = load_params()
    from models.camera import Camera
    from pipelines.evaluation import EvaluationInputs
    from pipelines.evaluation import evaluate as evaluate_predictions

    inputs = EvaluationInputs(
        face_model=face_model,
        labels=labels,
        truth=truth,
        benchmarks=benchmarks,
        predictions=predictions,
        recognizer=recognizer,
        paper=paper,
        variants=params.variants,
        params=params.evaluate,
        interval_params=params.intervals,
        benchmark_params=params.benchmarks,
        regressor_params=params.regressor,
        camera=Camera(math.radians(params.camera.field_of_view_degrees), params.camera.distance_mm),
        crop_size=params.camera.crop_size,
    )
    evaluate_predictions(inputs, scores=scores, tables=tables, metrics=metrics)


if __name__ == "__main__":
    run_stage(evaluate)
