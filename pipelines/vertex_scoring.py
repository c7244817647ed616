"""Error of each vertex where the true mesh has the face model's topology, and whether ICP ranks as it does.

Registered meshes of the face model's own topology exist for the embedded twin of FaceScape only. Score columns, the row
is the method:

- `similarity`, `rigid`: mean distance of corresponding vertices after the closed-form alignment, mm, with or without
  scale;
- `tau_over_samples`: how far ICP and `similarity` agree on which samples of a method are the better ones, for each
  sample the share of the others that both rank to the same side, minus the share where they differ. Its mean is
  Kendall's tau;
- `tau_over_methods`: the same for each sample over the methods, seen from the row's.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.face_model import FaceModel
from models.landmarks import NOSE_TIP
from models.rank_agreement import concordances
from models.segments import SEGMENT_INDEX
from models.vertex_error import vertex_error
from pipelines.benchmarks.common import Sample
from pipelines.benchmarks.read_facescape import file_stem
from pipelines.benchmarks.scans import read_mesh
from pipelines.predicted_meshes import mesh_flaw, read_predicted_mesh
from pipelines.scoring import NO_FACE, OK, SCORE_COLUMNS, MethodPredictions, joined

_COLUMNS = ("similarity", "rigid")
_RADIUS_MM = 95.0  # around the nose tip, as the protocols of the shape error have it


def vertex_scores(
    methods: Sequence[MethodPredictions],
    benchmark: Path,
    samples: Sequence[Sample],
    *,
    model: FaceModel,
    icp_scores: pd.DataFrame,
) -> pd.DataFrame:
    """All columns for all methods; `icp_scores` are the shape errors of the same samples. Empty without true meshes."""
    rows: list[tuple[str, str, str, float, str]] = []
    for sample in samples:
        truth = true_vertices(benchmark, sample, model)
        if truth is not None:
            rows += [row for method in methods for row in _errors(method, benchmark, sample, truth, model)]
    errors = pd.DataFrame(rows, columns=SCORE_COLUMNS)
    return joined([errors, rank_agreements(errors[errors["column"] == "similarity"], icp_scores)])


def true_vertices(benchmark: Path, sample: Sample, model: FaceModel) -> NDArray[np.float64] | None:
    """The registered mesh of a twin's sample, mm; None where there is none in the face model's topology."""
    folder = benchmark / "raw/tu" / sample.subject / "models_reg"
    if not folder.is_dir():
        return None
    path = folder / f"{file_stem(sample.condition)}.obj"
    if not path.is_file():
        return None
    mesh = read_mesh(path)
    same = np.array_equal(mesh.triangles, model.arrays.triangles)
    return mesh.vertices if same and mesh.vertices.shape == model.arrays.mean_shape.shape else None


def _errors(
    method: MethodPredictions, benchmark: Path, sample: Sample, truth: NDArray[np.float64], model: FaceModel
) -> list[tuple[str, str, str, float, str]]:
    if not sample.keys:
        return [(method.method, column, sample.sample, np.nan, NO_FACE) for column in _COLUMNS]
    vertices = read_predicted_mesh(method.folder / "meshes" / benchmark.name / f"{sample.sample}.npz", model)
    if flaw := mesh_flaw(vertices, model):
        return [(method.method, column, sample.sample, np.nan, flaw) for column in _COLUMNS]
    seen = _compared(truth, model)
    values = [vertex_error(vertices[seen], truth[seen], with_scale=column == "similarity") for column in _COLUMNS]
    return [(method.method, column, sample.sample, value, OK) for column, value in zip(_COLUMNS, values, strict=True)]


def _compared(truth: NDArray[np.float64], model: FaceModel) -> NDArray[np.bool_]:
    """Vertices outside the mouth and near the tip of the nose."""
    inside = model.arrays.regions == SEGMENT_INDEX["inner_mouth"]
    nose = truth[model.arrays.landmark_vertices[NOSE_TIP]]
    return np.asarray(~inside & (np.linalg.norm(truth - nose, axis=1) <= _RADIUS_MM))


def rank_agreements(errors: pd.DataFrame, icp_scores: pd.DataFrame) -> pd.DataFrame:
    """Scores of `tau_over_samples` and `tau_over_methods` from two measures of the same rows and samples."""
    both = errors.merge(icp_scores[["row", "sample", "value"]], on=["row", "sample"], suffixes=("", "_icp"))
    both = both[both["status"] != NO_FACE]
    parts = []
    for column, grouped in (("tau_over_samples", "row"), ("tau_over_methods", "sample")):
        for _, group in both.groupby(grouped, sort=False):
            agreement = concordances(group["value"].to_numpy(float), group["value_icp"].to_numpy(float))
            parts.append(group[SCORE_COLUMNS].assign(column=column, value=agreement))
    return joined(parts)
