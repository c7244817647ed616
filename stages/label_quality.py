"""How good the labels are, against the truth of held-out synthetic photographs."""

from stages._params import load_params
from stages._stage import PathFlag, run_stage


def label_quality(*, labels: PathFlag, truth: PathFlag, output: PathFlag, sheet: PathFlag) -> None:
    """Write the errors of every label and a sheet to look at."""
    params = load_params()
    from pipelines.labelling.quality import measure_labels
    from pipelines.labelling.sheet import draw_labels

    measure_labels(labels, truth, output, crop_size=params.camera.crop_size, mouth=params.mouth)
    draw_labels(labels, sheet, examples=params.figures.examples)


if __name__ == "__main__":
    run_stage(label_quality)
