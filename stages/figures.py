"""Stage figures: Figs. 3 to 7, the face model's sheet and the training curves."""

from stages._params import load_params
from stages._stage import PathFlag, run_stage


def figures(
    *,
    face_model: PathFlag,
    labels: PathFlag,
    benchmarks: PathFlag,
    predictions: PathFlag,
    weights: PathFlag,
    output: PathFlag,
) -> None:
    """Draw the figures from the same predictions as the tables."""
    params = load_params()
    from pipelines.reporting.figures import FigureInputs, draw_figures

    draw_figures(
        FigureInputs(face_model, labels, benchmarks, predictions, weights),
        output,
        camera=params.camera,
        evaluate=params.evaluate,
        benchmarks=params.benchmarks,
        variants=params.variants,
        examples=params.figures.examples,
    )


if __name__ == "__main__":
    run_stage(figures)
