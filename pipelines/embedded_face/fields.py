"""A small vocabulary to author displacement fields: named, in mm, with x counted outwards from the midline."""

import numpy as np
from numpy.typing import ArrayLike

from pipelines.embedded_face.geometry import Points, Scalars, bell, folded, smoothstep


class FieldAuthor:
    """Collects named displacement fields (V, 3) over fixed vertices."""

    def __init__(self, vertices: Points) -> None:
        self.vertices = vertices
        self.points = folded(vertices)
        self.side = np.where(vertices[:, 0] < 0, -1.0, 1.0)
        self.fields: dict[str, Points] = {}

    def bell(self, centre: ArrayLike, radii: ArrayLike) -> Scalars:
        """Bells around the centre and its mirror image."""
        return bell(self.points, centre, radii)

    def add(self, name: str, outward: ArrayLike = 0.0, up: ArrayLike = 0.0, forward: ArrayLike = 0.0) -> None:
        """One field; `outward` is away from the midline on both sides."""
        self.fields[name] = self.assemble(outward=outward, up=up, forward=forward)

    def add_sides(self, name: str, outward: ArrayLike = 0.0, up: ArrayLike = 0.0, forward: ArrayLike = 0.0) -> None:
        """Two fields, `<name>_L` and `<name>_R`, that add up to the symmetric one; left is the person's."""
        both = self.assemble(outward=outward, up=up, forward=forward)
        left = smoothstep(self.vertices[:, 0], -4, 4)[:, None]
        self.fields[f"{name}_L"] = both * left
        self.fields[f"{name}_R"] = both * (1 - left)

    def add_sideways(self, name: str, left: Scalars) -> None:
        """One field that moves both halves towards the person's left."""
        self.fields[name] = np.outer(left, [1.0, 0.0, 0.0])

    def assemble(self, outward: ArrayLike = 0.0, up: ArrayLike = 0.0, forward: ArrayLike = 0.0) -> Points:
        """A field from its components, each a number or an array over the vertices."""
        count = len(self.vertices)
        # the midline has no outward direction
        outward_of_both = np.where(self.vertices[:, 0] == 0, 0.0, self.side) * outward
        return np.column_stack([np.broadcast_to(part, count) for part in (outward_of_both, up, forward)])
