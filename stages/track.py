"""Mirrors the state of the pipeline in MLflow; writes its fingerprints."""

from stages._params import load_params
from stages._stage import PathFlag, run_stage


def track(*, lock: PathFlag, reports: PathFlag, output: PathFlag) -> None:
    """A parent run for this state of the pipeline and a child for each new result, from DVC's files."""
    params = load_params()
    from pipelines.tracking.sync import track_pipeline

    track_pipeline(
        lock,
        reports,
        output,
        experiment=params.track.experiment,
        largest_artifact_mb=params.track.largest_artifact_mb,
    )


if __name__ == "__main__":
    run_stage(track)
