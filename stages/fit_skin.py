"""The colour mixtures of skin and of everything else."""

from stages._params import load_params
from stages._stage import PathFlag, run_stage


def fit_skin(*, aligned: PathFlag, segments: PathFlag, truth: PathFlag, output: PathFlag) -> None:
    """Fit two Gaussian mixtures on the training crops, balanced over skin tones."""
    params = load_params()
    from pipelines.labelling import skin_mixture

    skin_mixture.fit_skin(aligned, segments, truth, output, params=params.fit_skin)


if __name__ == "__main__":
    run_stage(fit_skin)
