"""Stage report: one static page with tables, figures, faces in 3D, label quality and curves."""

from stages._params import load_params, load_profile
from stages._stage import PathFlag, run_stage


def report(
    *,
    reports: PathFlag,
    label_quality: PathFlag,
    label_sheet: PathFlag,
    verification: PathFlag,
    face_model: PathFlag,
    labels: PathFlag,
    benchmarks: PathFlag,
    predictions: PathFlag,
    output: PathFlag,
) -> None:
    """Write the report page; it opens from a disk without a network."""
    params, profile = load_params(), load_profile()
    from pipelines.reporting.page.build import PageInputs, write_page

    write_page(
        PageInputs(reports, label_quality, label_sheet, verification, face_model, labels, benchmarks, predictions),
        output,
        profile=profile,
        camera=params.camera,
        benchmarks=params.benchmarks,
        evaluate=params.evaluate,
        regressor=params.regressor,
        variants=params.variants,
    )


if __name__ == "__main__":
    run_stage(report)
