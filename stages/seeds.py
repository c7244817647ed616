"""Trains, predicts and evaluates with several seeds and reports the spread; `make seeds` starts it, not DVC."""

from pathlib import Path
from typing import Annotated

import typer

from stages._params import load_params, load_profile
from stages._stage import PathFlag, run_stage

SeedsFlag = Annotated[list[int], typer.Option()]


def seeds(*, seed: SeedsFlag, output: PathFlag) -> None:
    """Run an experiment for each seed (repeat --seed) and write `seeds.md` and `seeds.csv`."""
    params, profile = load_params(), load_profile()
    from pipelines.seeds.experiments import report_seeds

    report_seeds(seed, Path(), output, profile=profile, regressor=params.regressor)
    print(f"wrote {output / 'seeds.md'} and {output / 'seeds.csv'}")


if __name__ == "__main__":
    run_stage(seeds)
