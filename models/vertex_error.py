"""Error of a mesh whose vertices correspond to those of the truth."""

import numpy as np

from models.icp import similarity_from_corresponding
from models.surface import Points


def vertex_error(mesh: Points, truth: Points, *, with_scale: bool) -> float:
    """Mean distance of corresponding vertices after the least-squares alignment of the mesh, in the truth's unit."""
    aligned = similarity_from_corresponding(mesh, truth)
    if not with_scale:
        aligned = aligned.with_scale(1.0, mesh.mean(axis=0))
    return float(np.linalg.norm(aligned.moved(mesh) - truth, axis=1).mean())
