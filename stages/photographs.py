"""Photographs with a row each, split by identity, and the truth of synthetic ones."""

from stages._params import load_params
from stages._stage import MEMO, PathFlag, run_stage


def photographs(*, face_model: PathFlag, output: PathFlag, truth: PathFlag) -> None:
    """Collect or generate the photographs of `photographs.source`."""
    params = load_params()
    from pipelines.photographs.collect import collect_photographs

    collect_photographs(
        face_model,
        output,
        truth,
        params=params.photographs,
        distance_mm=params.camera.distance_mm,
        memo=MEMO,
        engine=params.labelling,
    )


if __name__ == "__main__":
    run_stage(photographs)
