"""Goals beside measurements, as the benchmarks print them."""

from collections.abc import Iterable
from typing import NamedTuple


class Line(NamedTuple):
    """A goal and what was measured."""

    name: str
    goal: str
    measured: float
    met: bool | None  # None: there is no goal


def at_least(name: str, goal: float, measured: float) -> Line:
    """A goal from below."""
    return Line(name, f">= {goal:g}", measured, measured >= goal)


def at_most(name: str, goal: float, measured: float) -> Line:
    """A goal from above."""
    return Line(name, f"<= {goal:g}", measured, measured <= goal)


def without_goal(name: str, measured: float) -> Line:
    """A measurement to be read beside the others."""
    return Line(name, "", measured, None)


def print_lines(lines: Iterable[Line]) -> None:
    """One line each: goal, measurement, verdict."""
    for name, goal, measured, met in lines:
        verdict = {True: "pass", False: "miss", None: ""}[met]
        print(f"{name:<58}{goal:>10}{measured:10.4g}  {verdict}".rstrip())
