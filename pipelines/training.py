"""Self-supervised training of the regressor with the six losses (Sec. 4): one variant, any device, any processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning_fabric as lf
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler
from tqdm import tqdm

from models.camera import Camera
from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.losses import (
    Losses,
    identity_loss,
    landmark_importance,
    landmark_loss,
    mouth_loss,
    photometric_loss,
    regularization_loss,
    total_loss,
    uniform_loss,
)
from models.renderer import Rendering, diffuse_picture, full_picture, landmark_pixels, pose_face, render
from pipelines.dataset import Batch, EndlessSampler, LabelledCrops, Prepared, crops, endless_batches, prepare, resized
from pipelines.face_model_file import load_face_model
from pipelines.params import RegressorParams, TrainParams, Variant
from pipelines.pictures import side_by_side, write_png
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.regression_network import build_regressor, save_regressor
from pipelines.tracking import LiveRun

SHEET_FACES = 4


class TrainingInputs(NamedTuple):
    """Where the training reads."""

    face_model: Path
    labels: Path
    recognizer: Path
    pretrained: Path


class Objective(nn.Module):
    """Everything that stays fixed while the regressor learns: face model, camera, recogniser and loss weights."""

    importance: Tensor
    uniform_vertices: Tensor

    def __init__(
        self,
        model: FaceModel,
        recognizer: nn.Module,
        camera: Camera,
        crop_size: int,
        params: TrainParams,
        variant: Variant,
    ) -> None:
        super().__init__()
        self.model, self.recognizer, self.camera = model, recognizer.eval().requires_grad_(False), camera
        self.crop_size, self.params = crop_size, params
        self.weights = variant_weights(params, variant)
        self.register_buffer("importance", landmark_importance(params.important_landmarks))
        self.register_buffer("uniform_vertices", torch.where(model.region_mask("skin", "nose"))[0])

    def forward(self, coefficients: Coefficients, batch: Batch, prepared: Prepared) -> tuple[Losses, Rendering]:
        """The six losses of a batch of predictions; a loss that this variant drops and that costs much reads NaN."""
        face = pose_face(self.model, coefficients, self.camera)
        rendering = render(
            self.model,
            face,
            self.params.render_size,
            mouth_samples=self.params.mouth_samples,
            edge_method=self.params.edge_method,
        )
        full = full_picture(rendering)
        losses = Losses(
            id=self._identity(full, batch.features),
            photo=photometric_loss(
                prepared.image,
                diffuse_picture(rendering),
                full,
                mask=prepared.face * rendering.coverage,
                skin_probability=prepared.skin,
                full_weight=self.params.full_weight,
            ),
            lmk=landmark_loss(landmark_pixels(self.model, face, self.crop_size), batch.landmarks, self.importance),
            mouth=mouth_loss(rendering.mouth, prepared.mouth, (self.crop_size / self.params.render_size) ** 2),
            reg=regularization_loss(coefficients),
            uniform=uniform_loss(face.lit_diffuse[:, self.uniform_vertices], coefficients.sh_coefficients),
        )
        return losses, rendering

    def _identity(self, full: Tensor, features: Tensor) -> Tensor:
        if self.weights["id"] == 0:
            return full.new_tensor(torch.nan)
        return identity_loss(features, self.recognizer(full))


def variant_weights(params: TrainParams, variant: Variant) -> dict[str, float]:
    """Loss weights of Eq. 6 for a row of the ablation: `no_<loss>` has that loss at zero."""
    weights = params.weights.model_dump()
    if variant != "full":
        weights[variant.removeprefix("no_")] = 0.0
    return weights


def learning_rate_schedule(optimizer: torch.optim.Optimizer, params: TrainParams) -> LRScheduler:
    """How the learning rate changes from iteration to iteration: not at all, or as half a cosine down to zero."""
    if params.schedule == "constant":
        return ConstantLR(optimizer, factor=1.0)
    return CosineAnnealingLR(optimizer, T_max=params.iterations)


def train_regressor(
    variant: Variant,
    inputs: TrainingInputs,
    output: Path,
    *,
    camera: Camera,
    crop_size: int,
    regressor: RegressorParams,
    params: TrainParams,
    experiment: str,
) -> None:
    """Train one variant and write its weights, its curves and sample sheets into `output`.

    A run that diverges (NaN, or a loss `divergence_factor` times its first value) ends early and says so in
    `network.json`; that is a result, not an error.
    """
    fabric = lf.Fabric(accelerator="auto", devices=params.devices, precision=params.precision)
    fabric.launch()
    torch.manual_seed(params.seed)
    model = load_face_model(inputs.face_model)
    objective = Objective(model, load_recognizer(inputs.recognizer), camera, crop_size, params, variant)
    network = build_regressor(regressor, model, inputs.pretrained)
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate)
    schedule = learning_rate_schedule(optimizer, params)
    wrapped, optimizer = fabric.setup(network, optimizer)
    batches = iter(fabric.setup_dataloaders(_loader(inputs, params, fabric), use_distributed_sampler=False))
    with LiveRun(
        stage=f"train@{variant}",
        experiment=experiment,
        parameters={**params.model_dump(), **regressor.model_dump(), "variant": variant},
        enabled=params.live_tracking and fabric.is_global_zero,
    ) as live:
        loop = _Loop(
            fabric,
            wrapped,
            optimizer,
            schedule,
            objective.to(fabric.device),
            regressor.input_size,
            live,
            output / "sheets",
        )
        history, diverged = loop.run(batches, f"train {variant}")
        if fabric.is_global_zero:
            provenance = {"variant": variant, "initialization": regressor.initialization, "diverged": diverged}
            save_regressor(output, network, regressor, history, provenance)
            live.finish(output / "weights.safetensors")


def _loader(inputs: TrainingInputs, params: TrainParams, fabric: lf.Fabric) -> Any:
    keys = crops(inputs.labels / "aligned", "train")["key"].tolist()
    dataset = LabelledCrops(inputs.labels, keys, load_features(inputs.recognizer))
    sampler = EndlessSampler(len(dataset), params.seed, rank=fabric.global_rank, ranks=fabric.world_size)
    return endless_batches(dataset, params.batch_size, sampler)


class _Loop:
    """The iterations of one training, their curves and their end."""

    def __init__(
        self,
        fabric: lf.Fabric,
        network: Callable[[Tensor], Coefficients],
        optimizer: torch.optim.Optimizer,
        schedule: LRScheduler,
        objective: Objective,
        input_size: int,
        live: LiveRun,
        sheets: Path,
    ) -> None:
        self.fabric, self.network, self.optimizer, self.objective = fabric, network, optimizer, objective
        self.schedule = schedule
        self.input_size, self.live, self.sheets = input_size, live, sheets
        self.params = objective.params
        self.rows: list[dict[str, float]] = []

    def run(self, batches: Any, title: str) -> tuple[pd.DataFrame, bool]:
        """All iterations; the curves, and whether the run diverged."""
        first_total = None
        progress = tqdm(range(self.params.iterations), title, disable=not self.fabric.is_global_zero)
        for iteration in progress:
            batch = next(batches)
            prepared = prepare(batch, self.params.render_size)
            losses, total, rendering = self._step(batch, prepared, iteration)
            last = iteration == self.params.iterations - 1
            if iteration % self.params.log_every == 0 or last:
                value = self._log(iteration, losses, total)
                progress.set_postfix(total=f"{value:.3g}")
                first_total = value if first_total is None else first_total
                if not np.isfinite(value) or value > self.params.divergence_factor * first_total:
                    return pd.DataFrame(self.rows), True
            if (iteration + 1) % self.params.sheet_every == 0 or last:
                self._draw_sheet(iteration, prepared, rendering)
        return pd.DataFrame(self.rows), False

    def _step(self, batch: Batch, prepared: Prepared, iteration: int) -> tuple[Losses, Tensor, Rendering]:
        image = prepared.image if self.input_size == self.params.render_size else resized(batch.image, self.input_size)
        coefficients = self.network(image.contiguous(memory_format=torch.channels_last))
        losses, rendering = self.objective(coefficients, batch, prepared)
        total = total_loss(losses, self._weights_at(iteration))
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        self.optimizer.step()
        self.schedule.step()
        return losses, total, rendering

    def _weights_at(self, iteration: int) -> dict[str, float]:
        """Loss weights; the mouth joins at its start iteration (Sec. 4.1.4)."""
        if iteration >= self.params.mouth_start_iteration:
            return self.objective.weights
        return {**self.objective.weights, "mouth": 0.0}

    def _log(self, iteration: int, losses: Losses, total: Tensor) -> float:
        """Keep one point of each curve; returns the total."""
        values = {"total": total, **losses._asdict()}
        row = {name: float(value.detach()) for name, value in values.items()}
        self.rows.append({"step": iteration, **row})
        self.live.metrics({f"loss/{name}": value for name, value in row.items()}, iteration)
        return row["total"]

    def _draw_sheet(self, iteration: int, prepared: Prepared, rendering: Rendering) -> None:
        """Photograph, full, diffuse and specular picture of the first faces of the batch."""
        if not self.fabric.is_global_zero:
            return
        specular = rendering._replace(diffuse=torch.zeros_like(rendering.diffuse))
        columns = [prepared.image, full_picture(rendering), diffuse_picture(rendering), full_picture(specular)]
        path = self.sheets / f"step-{iteration + 1:06d}.png"
        write_png(path, side_by_side([column[:SHEET_FACES].detach() for column in columns]))
        self.live.picture("sheet", path, iteration)
