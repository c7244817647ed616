"""How much of each identity mode one photograph can tell, and how much a network has learned to read off it.

    python -m benchmarks.identity_bound --data data

`data` is the folder of a finished run; its parameters are those of a profile of `params.yaml`. A regressor that makes
the squared error small answers with the mean of what a photograph leaves open; so does a fit that the prior regularises
(Eq. 12). Where the photograph tells nothing of a mode, the answer is the prior's mean, for everybody. The variance of
such answers is the share of the mode that the photograph explains. To first order around the mean face, with pixels
measured as Jq + noise and coefficients q of precision P, it is 1 - diag((JᵀJ / σ² + P)⁻¹).

Unknown are identity (the prior: standard normal), expression (as varied as in the photographs of the training split)
and pose, of which nothing is known before. Each photograph of the test split is measured under its true rotation: at
the 68 landmarks, or at vertices in even steps of their numbers, hidden ones included, each coordinate with an
independent normal error of σ pixels of the crop. Shading, which tells of normals, does not take part.

Beside it: variance and explained variance (R²) of the answers of `full` to the same photographs. Where the variance is
the larger of the two, the rest of it is error.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from jaxtyping import Float
from sklearn.metrics import r2_score
from torch import Tensor
from torch.func import jacfwd

from benchmarks.training import profile_params
from models.camera import Camera, camera_from_model, clip_from_camera, pixel_from_clip
from models.face_model import FaceModel
from pipelines.face_model_file import load_face_model
from pipelines.identity_spread import SPREAD_MODES
from pipelines.reporting.predictions import Predictions
from pipelines.truth import true_coefficients
from pipelines.truth_rows import rows_with_truth

_POSE_PRECISION = 1.0e-6  # of radians, mm and scale: as good as nothing is known of them
_EXPRESSION_FLOOR = 1.0e-3  # least variance of an expression coefficient


class Measured(NamedTuple):
    """Points of the mean face that a photograph shows, and how they move."""

    points: Float[Tensor, "K 3"]  # mm, frame of the face model
    basis: Float[Tensor, "M K 3"]  # mm for each coefficient: identity, then expression


def main() -> None:
    """Print a table, one line for each mode."""
    options = _options()
    params = profile_params(options.profile)
    camera = Camera(math.radians(params.camera.field_of_view_degrees), params.camera.distance_mm)
    print_table(table(options.data, camera, params.camera.crop_size, options.noise, options.vertices))


def table(data: Path, camera: Camera, size: int, noise: Sequence[float], vertices: int) -> pd.DataFrame:
    """The share explained at each noise, and what `full` reaches; one row for each of the first modes."""
    model = load_face_model(data / "face_model.h5")
    rows = rows_with_truth(data / "labels/aligned", data / "truth", "test")
    true = true_coefficients(rows)
    varied = true_coefficients(rows_with_truth(data / "labels/aligned", data / "truth", "train")).expression
    precision = prior_precision(model, varied)
    everywhere = torch.linspace(0, len(model.mean_shape) - 1, vertices).long()
    measured = {"68 landmarks": model.landmark_vertices.long(), f"{vertices} vertices": everywhere}
    columns: dict[str, Tensor] = {"size (mm)": mode_sizes(model)}
    for name, chosen in measured.items():
        points = points_of(model, chosen)
        jacobians = [pixel_jacobian(points, turned, camera, size) for turned in true.euler_angles]
        for sigma in noise:
            shares = torch.stack([explained_variance(one, precision, sigma)[:SPREAD_MODES] for one in jacobians])
            columns[f"{name}, σ {sigma:g} px"] = shares.mean(dim=0)
    answers = answered(data, rows)
    columns["full, variance"] = answers.var(dim=0)
    found = pd.DataFrame({name: column.numpy() for name, column in columns.items()}).rename_axis("mode")
    wanted = true.shape[:, :SPREAD_MODES]
    return found.assign(**{"full, R²": r2_score(wanted, answers, multioutput="raw_values")})


def prior_precision(model: FaceModel, expressions: Float[Tensor, "N E"]) -> Float[Tensor, "U U"]:
    """What is known before a photograph is seen: identity, expression and the seven numbers of the pose (Eq. 3)."""
    varied = expressions.double()
    covariance = varied.mT @ varied / len(varied) + _EXPRESSION_FLOOR * torch.eye(varied.shape[1], dtype=torch.double)
    identity = torch.eye(model.shape_size, dtype=torch.double)
    return torch.block_diag(identity, torch.linalg.inv(covariance), _POSE_PRECISION * torch.eye(7))


def points_of(model: FaceModel, vertices: Tensor) -> Measured:
    """These vertices of the mean face."""
    basis = model.geometry_basis.unflatten(-1, (-1, 3))
    return Measured(model.mean_shape[vertices].double(), basis[:, vertices].double())


def mode_sizes(model: FaceModel) -> Float[Tensor, "M"]:
    """By how much one standard deviation of each mode moves the vertices, root mean square."""
    basis = model.geometry_basis.unflatten(-1, (-1, 3))[:SPREAD_MODES]
    return basis.square().sum(dim=-1).mean(dim=-1).sqrt()


def pixel_jacobian(
    measured: Measured, rotation: Float[Tensor, "3"], camera: Camera, size: int
) -> Float[Tensor, "K2 U"]:
    """How the pixels of the points change with coefficients and pose, at the mean face turned by Euler angles."""
    modes = len(measured.basis)

    def pixels(unknowns: Tensor) -> Tensor:
        pose = unknowns[None, modes:]
        points = measured.points + torch.tensordot(unknowns[:modes], measured.basis, dims=1)
        posed = camera_from_model(points[None], rotation.double() + pose[:, :3], pose[:, 3:6], 1 + pose[:, 6:])
        return pixel_from_clip(clip_from_camera(posed, camera), (size, size)).flatten()

    jacobian: Tensor = jacfwd(pixels)(torch.zeros(modes + 7, dtype=torch.double))
    return jacobian


def explained_variance(
    jacobian: Float[Tensor, "K2 U"], precision: Float[Tensor, "U U"], sigma: float
) -> Float[Tensor, "U"]:
    """By how much measurements with noise σ reduce the variance of each unknown; of one whose prior's is 1, a share."""
    posterior = torch.linalg.inv(jacobian.mT @ jacobian / sigma**2 + precision)
    return 1 - posterior.diagonal()


def answered(data: Path, rows: pd.DataFrame) -> Float[Tensor, "B M"]:
    """The first identity coefficients that `full` predicted for crops."""
    predictions = Predictions(data / "predictions/full")
    return torch.cat([predictions.of(key).shape for key in rows["key"]])[:, :SPREAD_MODES]


def print_table(found: pd.DataFrame) -> None:
    """Mode after mode, then the mean and the least of them."""
    print(found.assign(mode=range(1, len(found) + 1)).set_index("mode").to_string(float_format="%.3f"))
    print(found.agg(["mean", "min"]).iloc[:, 1:].to_string(float_format="%.3f"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--profile", default="default", help="whose parameters `data` was made with")
    parser.add_argument("--noise", type=float, nargs="+", default=[1.0, 2.5], help="σ, pixels of the crop")
    parser.add_argument("--vertices", type=int, default=400)
    return parser.parse_args()


if __name__ == "__main__":
    main()
