"""What the training must show, beside the paper's orderings: claims about tables, each with a number for every seed."""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

from pipelines.mean_prediction import MEAN_PREDICTION
from pipelines.methods import MEAN_FACE, OURS, WSL_CONTROL
from pipelines.seeds.cells import Cells, Place

_VARIANTS = (OURS, "no_id", "no_photo", "no_lmk", "no_mouth", "no_reg", "no_uniform")


class Claim(NamedTuple):
    """The cell of `row`, taken by itself or against the largest of other rows, keeps a limit.

    The number is the cell's value, its ratio to the largest value of `others`, or its difference from it. Other rows
    count where they are finite. When `row` itself diverged, it is infinitely bad, which may be what is claimed.
    """

    words: str
    table: str
    column: str
    row: str
    others: tuple[str, ...]
    number: Literal["value", "ratio", "difference"]
    demand: Literal["<", "≤", ">", "≥"]
    limit: float
    may_diverge: bool = False

    def of(self, cells: Cells) -> float | None:
        """Its number in one seed; None when a cell is missing, NaN when nothing can be said for divergence."""
        rows = {row: cells.get(Place(self.table, self.column, row)) for row in (self.row, *self.others)}
        found = {row: cell.value for row, cell in rows.items() if cell is not None}
        others = [found[row] for row in self.others if row in found]
        if self.row not in found or (self.others and not others):
            return None
        if math.isnan(found[self.row]):
            return math.inf if self.may_diverge else math.nan
        if self.number == "value":
            return found[self.row]
        largest = max((value for value in others if math.isfinite(value)), default=math.nan)
        return found[self.row] / largest if self.number == "ratio" else found[self.row] - largest

    def holds(self, number: float) -> bool:
        """Whether a number keeps the limit; NaN never does."""
        return {
            "<": number < self.limit,
            "≤": number <= self.limit,
            ">": number > self.limit,
            "≥": number >= self.limit,
        }[self.demand]


class Outcome(NamedTuple):
    """How a claim fares."""

    claim: Claim
    numbers: tuple[float, ...]  # of each seed; none when it was not measured

    @property
    def held(self) -> int:
        """In how many seeds."""
        return sum(self.claim.holds(number) for number in self.numbers)


def outcomes_of(runs: Mapping[int, Cells]) -> list[Outcome]:
    """What became of every claim; those whose cells are missing stay, without numbers."""
    outcomes = []
    for claim in CLAIMS:
        numbers = [claim.of(cells) for cells in runs.values()]
        outcomes.append(Outcome(claim, tuple(number for number in numbers if number is not None)))
    return outcomes


def _but(row: str) -> tuple[str, ...]:
    return tuple(variant for variant in _VARIANTS if variant != row)


def _below_mean_prediction(column: str, words: str) -> Claim:
    return Claim(
        f"{words}: error of full to that of the mean prediction",
        "truth_errors",
        column,
        OURS,
        (MEAN_PREDICTION,),
        "ratio",
        "<",
        1.0,
    )


# fmt: off
CLAIMS = (
    Claim("colour: error of full to that of the mean face",
          "table1_pixel_error", "test", OURS, (MEAN_FACE,), "ratio", "≤", 0.75),
    Claim("colour: error of no_photo to the worst other variant that did not diverge",
          "table1_pixel_error", "test", "no_photo", _but("no_photo"), "ratio", ">", 1.0, may_diverge=True),
    Claim("highlight: colour error of full to that of the WSL control, which has none",
          "table1_pixel_error", "test", OURS, (WSL_CONTROL,), "ratio", "<", 1.0),
    Claim("inner mouth: error of full to that of the WSL control, which has no loss for it",
          "table5_aflw2000_mouth", "px", OURS, (WSL_CONTROL,), "ratio", "<", 1.0),
    Claim("landmarks: error of no_lmk to the worst other variant; or it diverges",
          "truth_errors", "landmarks", "no_lmk", _but("no_lmk"), "ratio", ">", 1.1, may_diverge=True),
    Claim("shape: error of no_reg to the worst other variant",
          "table2_facescape_ablation", "all", "no_reg", _but("no_reg"), "ratio", ">", 1.0, may_diverge=True),
    _below_mean_prediction("diffuse", "diffuse albedo"),
    _below_mean_prediction("specular", "specular albedo"),
    _below_mean_prediction("light_direction", "light direction"),
    _below_mean_prediction("shininess", "shininess"),
    _below_mean_prediction("expression", "expression"),
    _below_mean_prediction("pose", "pose"),
    Claim("highlight in the diffuse albedo: leak of no_uniform less that of full",
          "truth_errors", "highlight_leak", "no_uniform", (OURS,), "difference", ">", 0.0),
    Claim("identity: variance over people of the mode of full that varies least; the prior's is 1",
          "identity_spread", "least", OURS, (), "value", "≥", 1 / 3),
)
# fmt: on
