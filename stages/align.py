"""Aligned crops: MTCNN, and a similarity that puts five points onto the template."""

from stages._params import load_params
from stages._stage import MEMO, PathFlag, run_stage


def align(*, photographs: PathFlag, output: PathFlag) -> None:
    """Crop every photograph's face; a row says why where there is none."""
    params = load_params()
    from pipelines.labelling.align import align_photographs

    align_photographs(
        photographs, output, params=params.align, crop_size=params.camera.crop_size, memo=MEMO, engine=params.labelling
    )


if __name__ == "__main__":
    run_stage(align)
