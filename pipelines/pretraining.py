"""The warm start: the regressor learns the coefficients of synthetic photographs, whose truth is known.

Deviation: the paper says nothing about initialisation. Its 200 k iterations on a GPU make up for it; a laptop has some
hundred. All variants share this start, so that their comparison stays fair, and every report names it. The warm start
itself begins with the landmark network, which knows where a face's points are.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from models.augmentation import move_pictures, random_movements
from models.camera import Camera
from models.coefficients import Coefficients
from models.networks.regressor import Regressor
from pipelines.checkpoints import Checkpoints, Resumable, Stateful, training_fingerprint
from pipelines.dataset import EndlessSampler, Pictures, endless_batches, prefetched, shrunk
from pipelines.device import best_device
from pipelines.face_model_file import load_face_model
from pipelines.labelling.precision import resolved_precision
from pipelines.landmark_encoder import begin_with_landmarks
from pipelines.params import PretrainParams, RegressorParams
from pipelines.regression_network import build_regressor, save_regressor
from pipelines.supervision import Supervision, Truth, TruthLosses
from pipelines.truth import true_coefficients, true_landmarks
from pipelines.truth_rows import rows_with_truth

_CURVES = ("total", *TruthLosses._fields)
_SHOWN_EVERY = 20  # iterations


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
    landmark_weights: Path,
    output: Path,
    *,
    camera: Camera,
    crop_size: int,
    regressor: RegressorParams,
    params: PretrainParams,
    memo: Path,
) -> None:
    """Train the warm start and write it into `output`; one that was killed goes on from its last checkpoint in `memo`.

    When the regressor begins otherwise (`regressor.initialization`), nothing reads the warm start: the network is
    written untrained, so that photographs without a known truth pass this stage too.
    """
    torch.manual_seed(params.seed)
    model = load_face_model(face_model)
    network = build_regressor(regressor.model_copy(update={"initialization": "scratch"}), model, None)
    wanted = regressor.initialization == "pretrained"
    begins, rows = "scratch", []
    if wanted:
        if params.encoder == "auto" and begin_with_landmarks(network, regressor.backbone, landmark_weights):
            begins = "landmarks"
        supervision = Supervision(
            model,
            camera,
            crop_size,
            vertex_weight=params.vertex_weight,
            landmark_weight=params.landmark_weight,
            highlight_weight=params.highlight_weight,
        )
        checkpoints = Checkpoints(
            memo / "pretraining",
            training_fingerprint(
                [face_model, aligned, truth, landmark_weights], _description(camera, crop_size, regressor, params)
            ),
            every=params.checkpoint_every,
        )
        crops = SyntheticCrops(aligned, truth)
        if network.points is not None:
            network.points.set_spread(crops.truth.landmarks / crop_size)
        rows = _train(network, supervision, crops, regressor.input_size, params, checkpoints)
    history = pd.DataFrame(rows, columns=["step", *_CURVES])
    save_regressor(output, network, regressor, history, {"initialization": begins, "supervised": wanted})
    if wanted:
        checkpoints.clear()


def _description(camera: Camera, crop_size: int, regressor: RegressorParams, params: PretrainParams) -> dict[str, Any]:
    """What a checkpoint must agree with, besides the files that are read."""
    return {
        "camera": camera._asdict(),
        "crop_size": crop_size,
        "regressor": regressor.model_dump(),
        "params": params.model_dump(exclude={"checkpoint_every"}),
        "precision": resolved_precision(params.precision),
    }


def _train(
    network: Regressor,
    supervision: Supervision,
    dataset: SyntheticCrops,
    input_size: int,
    params: PretrainParams,
    checkpoints: Checkpoints,
) -> list[dict[str, float]]:
    device, in_bf16 = best_device(), resolved_precision(params.precision) == "bf16"
    network.to(device).to(memory_format=torch.channels_last)
    supervision.to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=params.learning_rate, total_steps=params.iterations
    )
    generator = torch.Generator().manual_seed(params.seed)
    parts: dict[str, Stateful] = {"network": network, "optimizer": optimizer, "schedule": schedule}
    resumable = Resumable(parts, {"movements": generator})
    state = checkpoints.load()
    history = [] if state is None else resumable.restore(state)
    done = len(history)
    curves = torch.zeros((params.iterations, len(_CURVES)), device=device)  # read now and then: a GPU need not wait
    curves[:done] = torch.tensor([[row[name] for name in _CURVES] for row in history]).view(done, len(_CURVES))
    sampler = EndlessSampler(len(dataset), params.seed, skipped=done * params.batch_size)
    loader = endless_batches(dataset, params.batch_size, sampler)
    iterations = tqdm(range(done, params.iterations), "pretrain", initial=done, total=params.iterations)
    with closing(prefetched(loader)) as batches:
        for step, (pictures, known) in zip(iterations, batches, strict=False):
            movements = random_movements(
                len(pictures), generator, rotation_degrees=0.0, log_scale=params.log_scale, shift=params.shift
            )
            moved = shrunk(move_pictures(pictures.to(device) / 255, movements, "bilinear"), input_size)
            with torch.autocast(device, torch.bfloat16, enabled=in_bf16):  # the head and all that follows stay in fp32
                predicted = network(_jittered(moved, generator).contiguous(memory_format=torch.channels_last))
            losses = supervision(predicted, _on(device, known), movements)
            total = torch.stack(losses).sum()
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            optimizer.step()
            schedule.step()
            curves[step] = torch.stack([total, *losses]).detach()
            if step % _SHOWN_EVERY == 0:
                iterations.set_postfix(total=f"{total.item():.3f}")
            if checkpoints.due(step):
                checkpoints.save(resumable.state(step + 1, _rows(curves[: step + 1])))
    return _rows(curves)


def _rows(curves: Float[Tensor, "N C"]) -> list[dict[str, float]]:
    return [{"step": step, **dict(zip(_CURVES, losses, strict=True))} for step, losses in enumerate(curves.tolist())]


def _on(device: str, known: Truth) -> Truth:
    return Truth(Coefficients(*(group.to(device) for group in known.coefficients)), known.landmarks.to(device))


def _jittered(pictures: Float[Tensor, "B 3 S S"], generator: torch.Generator) -> Float[Tensor, "B 3 S S"]:
    """Small changes of contrast, and noise, as of real cameras; brightness stays, because it tells the light."""
    contrast = 1 + 0.1 * (torch.rand((len(pictures), 1, 1, 1), generator=generator) - 0.5)
    noise = 0.02 * torch.randn(pictures.shape, generator=generator)
    return ((pictures - 0.5) * contrast.to(pictures.device) + 0.5 + noise.to(pictures.device)).clamp(0, 1)
