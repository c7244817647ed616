"""Stage embed: the recogniser's features of every crop, and how well they tell held-out people apart."""

from stages._params import load_params
from stages._stage import MEMO, PathFlag, run_stage


def embed(*, aligned: PathFlag, weights: PathFlag, output: PathFlag, verification: PathFlag) -> None:
    """Write the recogniser's features of every crop, and its verification accuracy on held-out people."""
    params = load_params()
    from pipelines.labelling.embedding import embed_crops
    from pipelines.verification import verify_held_out

    embed_crops(aligned, weights, output, params=params.embed, memo=MEMO, engine=params.labelling)
    verify_held_out(aligned, output, verification)


if __name__ == "__main__":
    run_stage(embed)
