"""Trains, predicts and evaluates with several seeds and reports the spread; `make seeds` starts it, not DVC."""

from pathlib import Path
from typing import Annotated

import typer

from stages._params import load_params, load_profile
from stages._stage import PathFlag, run_stage

SeedsFlag = Annotated[list[int], typer.Option()]
NameFlag = Annotated[str, typer.Option(help="Of the experiments and of the report.")]
ChangesFlag = Annotated[list[str] | None, typer.Option(help="Of params.yaml, e.g. train.iterations=50; repeat it.")]


def seeds(*, seed: SeedsFlag, output: PathFlag, name: NameFlag = "seeds", change: ChangesFlag = None) -> None:
    """Run an experiment for each seed (repeat --seed) and write `<name>.md` and `<name>.csv`."""
    changes = change or []
    params, profile = load_params(changes=changes), load_profile(changes=changes)
    from pipelines.initialization import initialization_text
    from pipelines.seeds.experiments import Study, run_study

    study = Study(name, tuple(seed), tuple(changes), profile, initialization_text(params.regressor))
    run_study(study, Path(), output)
    print(f"wrote {output / name}.md and {output / name}.csv")


if __name__ == "__main__":
    run_stage(seeds)
