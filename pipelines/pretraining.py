"""The warm start: the regressor learns the coefficients of synthetic photographs, whose truth is known.

Deviation: the paper says nothing about initialisation. Its 200 k iterations on a GPU make up for it; a laptop has some
hundred. All variants share this start, so that their comparison stays fair, and every report names it.
"""

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, smooth_l1_loss
from torch.utils.data import Dataset
from tqdm import tqdm

from models.camera import Camera, camera_from_model, clip_from_camera, pixel_from_clip
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.networks.regressor import Regressor
from pipelines.dataset import EndlessSampler, Pictures, endless_batches, resized
from pipelines.face_model_file import load_face_model
from pipelines.params import PretrainParams, RegressorParams
from pipelines.regression_network import build_regressor, save_regressor
from pipelines.truth import rows_with_truth, true_coefficients, true_landmarks


class Truth(NamedTuple):
    """What is known of a synthetic photograph, in the frame of its crop; translation and scale are not."""

    coefficients: Coefficients
    landmarks: Float[Tensor, "B 68 2"]  # pixels of the crop


class TruthLosses(NamedTuple):
    """Terms of the supervised loss, each brought to a magnitude of about one for an untrained network."""

    vertices: Tensor
    landmarks: Tensor
    pose: Tensor
    albedo: Tensor
    light: Tensor
    highlight: Tensor


class SyntheticCrops(Dataset[tuple[Tensor, Truth]]):
    """Crops of synthetic photographs with their truth."""

    def __init__(self, aligned: Path, truth: Path) -> None:
        rows = rows_with_truth(aligned, truth, "train")
        if rows.empty:
            raise ValueError(
                "pretrain: no synthetic photographs to learn from; set photographs.source: synthetic or"
                " regressor.initialization: imagenet"
            )
        self.pictures = Pictures(aligned, rows["key"].tolist())
        self.truth = Truth(true_coefficients(rows), true_landmarks(rows))

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, Truth]:
        coefficients = Coefficients(*(group[index] for group in self.truth.coefficients))
        return self.pictures[index], Truth(coefficients, self.truth.landmarks[index])


def pretrain_regressor(
    face_model: Path,
    aligned: Path,
    truth: Path,
    output: Path,
    *,
    camera: Camera,
    crop_size: int,
    regressor: RegressorParams,
    params: PretrainParams,
) -> None:
    """Train the warm start and write it into `output`.

    When the regressor begins otherwise (`regressor.initialization`), nothing reads the warm start: the network is
    written untrained, so that photographs without a known truth pass this stage too.
    """
    torch.manual_seed(params.seed)
    model = load_face_model(face_model)
    network = build_regressor(regressor.model_copy(update={"initialization": "scratch"}), model, None)
    network.to(memory_format=torch.channels_last)
    wanted = regressor.initialization == "pretrained"
    dataset = SyntheticCrops(aligned, truth) if wanted else None
    rows = [] if dataset is None else _train(network, model, dataset, camera, crop_size, regressor.input_size, params)
    history = pd.DataFrame(rows, columns=["step", "total", *TruthLosses._fields])
    save_regressor(output, network, regressor, history, {"initialization": "scratch", "supervised": wanted})


def _train(
    network: Regressor,
    model: FaceModel,
    dataset: SyntheticCrops,
    camera: Camera,
    crop_size: int,
    input_size: int,
    params: PretrainParams,
) -> list[dict[str, float]]:
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=params.learning_rate, total_steps=params.iterations
    )
    batches = endless_batches(dataset, params.batch_size, EndlessSampler(len(dataset), params.seed))
    history = []
    iterations = tqdm(range(params.iterations), "pretrain")
    for step, (pictures, known) in zip(iterations, batches, strict=False):
        losses = _step(network, model, camera, crop_size, resized(pictures, input_size), known)
        total = torch.stack(losses).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        schedule.step()
        history.append({"step": step, "total": total.item(), **{n: v.item() for n, v in losses._asdict().items()}})
        iterations.set_postfix(total=f"{total.item():.3f}")
    return history


def _step(
    network: Regressor, model: FaceModel, camera: Camera, crop_size: int, pictures: Tensor, known: Truth
) -> TruthLosses:
    predicted = network(_jittered(pictures).contiguous(memory_format=torch.channels_last))
    return truth_losses(model, camera, crop_size, predicted, known)


def truth_losses(
    model: FaceModel, camera: Camera, crop_size: int, predicted: Coefficients, known: Truth
) -> TruthLosses:
    """How far predictions are from the truth, term by term."""
    true = known.coefficients
    vertices = model.vertices(predicted.shape, predicted.expression)
    true_vertices = model.vertices(true.shape, true.expression)
    posed = camera_from_model(vertices, predicted.euler_angles, predicted.translation, predicted.scale)
    points = pixel_from_clip(clip_from_camera(model.landmarks(posed), camera), (crop_size, crop_size))
    albedo, true_albedo = (torch.cat(model.albedos(a), dim=-1) for a in (predicted.albedo, true.albedo))
    light_direction = cosine_similarity(predicted.light_position, true.light_position, dim=-1)
    return TruthLosses(
        vertices=torch.linalg.vector_norm(vertices - true_vertices, dim=-1).mean() / 5,
        landmarks=torch.linalg.vector_norm(points - known.landmarks, dim=-1).mean() / 5,
        pose=smooth_l1_loss(predicted.euler_angles, true.euler_angles, beta=0.05) / 0.2,
        albedo=(albedo - true_albedo).abs().mean() / 0.05,
        light=smooth_l1_loss(predicted.sh_coefficients, true.sh_coefficients, beta=0.1) / 0.2,
        highlight=(1 - light_direction).mean() + (torch.log(predicted.shininess / true.shininess)).abs().mean() / 2,
    )


def _jittered(pictures: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
    """Small changes of contrast, and noise, as of real cameras; brightness stays, because it tells the light."""
    contrast = 1 + 0.1 * (torch.rand(len(pictures), 1, 1, 1) - 0.5)
    return ((pictures - 0.5) * contrast + 0.5 + 0.02 * torch.randn_like(pictures)).clamp(0, 1)
