"""The skin probability of every pixel of every crop."""

from stages._params import load_params
from stages._stage import MEMO, PathFlag, run_stage


def skin(*, aligned: PathFlag, mixture: PathFlag, output: PathFlag) -> None:
    """Write round(255 p) of each pixel of each crop."""
    params = load_params()
    from pipelines.labelling.skin import label_skin

    label_skin(aligned, mixture, output, memo=MEMO, engine=params.labelling)


if __name__ == "__main__":
    run_stage(skin)
