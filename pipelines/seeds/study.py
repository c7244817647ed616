"""What runs of several seeds have in common."""

from typing import NamedTuple


class Study(NamedTuple):
    """Runs that differ in nothing but the seeds of `pretrain` and `train`."""

    name: str  # of its experiments and of its report
    seeds: tuple[int, ...]
    changes: tuple[str, ...]  # of the present params.yaml, such as "train.iterations=50"
    profile: str
    initialization: str  # what the regressor began with, in words
