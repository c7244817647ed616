"""The inside of the mouth: rows of vertices behind the lips, and the patch that closes the gap between the lips."""

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from pipelines.embedded_face.authored import MOUTH_HALF_WIDTH
from pipelines.embedded_face.geometry import Indices, Points, smoothstep

# Rolls of the lips inwards at the midline: (up, forward) in mm; they shrink towards the corner.
_ROLLS = {
    "upper_roll_1": (0.7, -1.6),
    "upper_roll_2": (2.6, -4.2),
    "lower_roll_1": (-0.7, -1.6),
    "lower_roll_2": (-2.6, -4.2),
}
# Rows along the dental arch at the midline: (up from the lip line, forward) in mm.
_ARCH = {
    "upper_gum": (6.5, -6.4),
    "upper_edge": (-2.6, -5.6),
    "upper_back": (-2.0, -9.5),
    "lower_gum": (-8.5, -7.8),
    "lower_edge": (-1.4, -7.8),
    "lower_back": (-1.6, -10.5),
}
_ARCH_HEIGHT, _ARCH_DEPTH = -66.4, -2.0
_ARCH_WIDTH = 0.93  # of the lip line


@dataclass(frozen=True)
class MouthRows:
    """Vertices of each row of the left half from the midline to the corner of the mouth."""

    upper_lip: Indices
    lower_lip: Indices
    upper_roll_1: Indices
    upper_roll_2: Indices
    upper_gum: Indices
    upper_edge: Indices
    upper_back: Indices
    lower_roll_1: Indices
    lower_roll_2: Indices
    lower_gum: Indices
    lower_edge: Indices
    lower_back: Indices

    def neighbours(self) -> list[tuple[Indices, Indices]]:
        """Pairs of neighbouring rows once around the inside, from the upper lip to the lower lip."""
        order = [
            *(self.upper_lip, self.upper_roll_1, self.upper_roll_2, self.upper_gum, self.upper_edge, self.upper_back),
            *(self.lower_back, self.lower_edge, self.lower_gum, self.lower_roll_2, self.lower_roll_1, self.lower_lip),
        ]
        return list(pairwise(order))

    @property
    def rolls(self) -> Indices:
        """The inner sides of both lips."""
        return np.concatenate([self.upper_roll_1, self.upper_roll_2, self.lower_roll_1, self.lower_roll_2])

    @property
    def upper_teeth(self) -> Indices:
        """Rows that stay with the skull, without the shared vertex at the corner."""
        return np.concatenate([self.upper_gum[:-1], self.upper_edge[:-1], self.upper_back[:-1]])

    @property
    def lower_teeth(self) -> Indices:
        """Rows that follow the lower jaw, without the shared vertex at the corner."""
        return np.concatenate([self.lower_gum[:-1], self.lower_edge[:-1], self.lower_back[:-1]])

    def renumbered(self, new_index: Indices) -> "MouthRows":
        """The same rows after vertex i has become `new_index[i]`."""
        return MouthRows(**{field.name: new_index[getattr(self, field.name)] for field in fields(self)})


def inner_mouth_rows(lip_line: Points) -> dict[str, Points]:
    """Points of every row but the two lips; rolls of the same depth and all rows of teeth end in the same point."""
    rolls = {name: _roll(lip_line, up=up, forward=forward) for name, (up, forward) in _ROLLS.items()}
    pocket = lip_line[-1] + [-1.5, 0.0, -6.0]
    return rolls | {name: _arch(lip_line, pocket, up=up, forward=forward) for name, (up, forward) in _ARCH.items()}


def strip(first: Indices, second: Indices) -> Indices:
    """Triangles between two rows of equal length, without those that shared vertices make degenerate."""
    triangles = np.concatenate(
        [
            np.stack([first[:-1], second[:-1], first[1:]], axis=1),
            np.stack([first[1:], second[:-1], second[1:]], axis=1),
        ]
    )
    distinct = [len(set(triangle)) == 3 for triangle in triangles.tolist()]
    return triangles[distinct]


def mouth_patch(rows: MouthRows, mirror: Indices) -> Indices:
    """Triangles that close the gap between the lips: flat when the mouth is shut, facing the viewer when it is open."""
    upper, lower = (np.concatenate([mirror[row[:0:-1]], row]) for row in (rows.upper_lip, rows.lower_lip))
    return strip(upper, lower)


def _roll(lip_line: Points, up: float, forward: float) -> Points:
    towards_centre = np.sqrt(np.clip(1 - (lip_line[:, 0] / lip_line[-1, 0]) ** 2, 0, 1))
    rows = lip_line + np.column_stack(
        [np.zeros(len(lip_line)), up * towards_centre, forward * (0.35 + 0.65 * towards_centre)]
    )
    rows[-1] = lip_line[-1] + [-1.0, 0.0, forward * 0.5]
    return rows


def _arch(lip_line: Points, pocket: Points, up: float, forward: float) -> Points:
    """A row along the dental arch; tooth height tapers off beyond the canine, where the cheek hides the teeth."""
    side = lip_line[:, 0] / MOUTH_HALF_WIDTH
    height = _ARCH_HEIGHT + up * (1 - 0.8 * smoothstep(side, 0.6, 1.0)) - 0.5 * side
    depth = _ARCH_DEPTH + forward - 9 * side**2 - 7 * side**4
    rows = np.column_stack([_ARCH_WIDTH * lip_line[:, 0], height, depth])
    rows[-1] = pocket
    return rows
