"""Self-supervised training of the regressor with the six losses (Sec. 4): one variant, any device, any processes."""

import logging
import math
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, cast

import lightning_fabric as lf
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from models.camera import Camera
from models.coefficients import Coefficients
from models.losses import Losses, total_loss
from models.networks.regressor import Regressor
from models.renderer import Rendering
from pipelines.checkpoints import Checkpoints, Resumable, Stateful, training_fingerprint
from pipelines.dataset import (
    Batch,
    EndlessSampler,
    LabelledCrops,
    Prepared,
    crops,
    endless_batches,
    prefetched,
    prepare,
    resized,
)
from pipelines.face_model_file import load_face_model
from pipelines.objective import Objective
from pipelines.params import RegressorParams, TrainParams, Variant
from pipelines.pictures import write_png
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.regression_network import build_regressor, save_regressor
from pipelines.sample_sheet import sample_sheet
from pipelines.shards import ShardReader
from pipelines.tracking import LiveRun, curve_name
from pipelines.variants import modelled
from pipelines.weights import EXAMPLE

_log = logging.getLogger(__name__)


class TrainingInputs(NamedTuple):
    """Where the training reads."""

    face_model: Path
    labels: Path
    recognizer: Path
    pretrained: Path


def learning_rate_schedule(optimizer: torch.optim.Optimizer, params: TrainParams) -> LRScheduler:
    """How the learning rate goes on after its warm-up: it stays, or falls to zero as half a cosine of all iterations.

    Adam's first steps have the same length in every weight, however little one batch tells of it; small ones keep more
    of a warm start.
    """

    def factor(step: int) -> float:
        risen = min(1.0, (step + 1) / (params.warmup_iterations + 1))
        falling = (1 + math.cos(math.pi * step / params.iterations)) / 2
        return risen if params.schedule == "constant" else risen * falling

    return LambdaLR(optimizer, factor)


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
    memo: Path,
) -> None:
    """Train one variant and write its weights, its curves and sample sheets into `output`.

    A run that diverges (NaN, or a loss `divergence_factor` times its first value) ends early and says so in
    `network.json`; that is a result, not an error. A run that was killed goes on from its last checkpoint under `memo`.
    """
    fabric = lf.Fabric(accelerator="auto", devices=params.devices, num_nodes=params.nodes, precision=params.precision)
    fabric.launch()
    torch.manual_seed(params.seed)
    model = load_face_model(inputs.face_model)
    objective = Objective(model, load_recognizer(inputs.recognizer), camera, crop_size, params, variant)
    network = build_regressor(regressor, model, inputs.pretrained)
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate, fused=True)
    schedule = learning_rate_schedule(optimizer, params)
    wrapped, optimizer = fabric.setup(network, optimizer)
    checkpoints = Checkpoints(
        memo / "training" / variant,
        training_fingerprint(inputs, _description(variant, camera, crop_size, regressor, params)),
        every=params.checkpoint_every,
        writes=fabric.is_global_zero,
    )
    with LiveRun(
        stage=f"train@{variant}",
        experiment=experiment,
        parameters={**params.model_dump(), **regressor.model_dump(), "variant": variant},
        enabled=params.live_tracking and fabric.is_global_zero,
    ) as live:
        loop = _Loop(
            fabric,
            network,
            wrapped,
            optimizer,
            schedule,
            objective.to(fabric.device),
            regressor.input_size,
            live,
            checkpoints,
        )
        history, diverged = loop.run(inputs, f"train {variant}")
        if fabric.is_global_zero:
            provenance = {"variant": variant, "initialization": regressor.initialization, "diverged": diverged}
            save_regressor(output, loop.result, regressor, history, provenance)
            if loop.sheets.is_dir():
                shutil.copytree(loop.sheets, output / loop.sheets.name, dirs_exist_ok=True)
            _write_example(inputs.labels / "aligned", output)
            live.finish(output / "weights.safetensors")
            checkpoints.clear()


def _description(
    variant: Variant, camera: Camera, crop_size: int, regressor: RegressorParams, params: TrainParams
) -> dict[str, Any]:
    """What a checkpoint must agree with, besides the files that are read; how often things are logged may change."""
    exclude = {"log_every", "sheet_every", "checkpoint_every", "loader_workers", "live_tracking"}
    return {
        "variant": variant,
        "camera": camera._asdict(),
        "crop_size": crop_size,
        "regressor": regressor.model_dump(),
        "params": params.model_dump(exclude=exclude),
    }


def _loader(inputs: TrainingInputs, params: TrainParams, fabric: lf.Fabric, done: int) -> DataLoader[Any]:
    """Batches without end, from the one on that follows `done` iterations."""
    keys = crops(inputs.labels / "aligned", "train")["key"].tolist()
    dataset = LabelledCrops(inputs.labels, keys, load_features(inputs.labels / "features"))
    ranks = {"rank": fabric.global_rank, "ranks": fabric.world_size}
    sampler = EndlessSampler(len(dataset), params.seed, skipped=done * params.batch_size, **ranks)
    return endless_batches(dataset, params.batch_size, sampler, workers=params.loader_workers)


def _write_example(aligned: Path, output: Path) -> None:
    """Keep a crop as it lies in the shards beside the weights: the example of what the network takes."""
    key = crops(aligned, "train")["key"].iloc[0]
    (output / EXAMPLE).write_bytes(ShardReader(aligned).read(key, "jpg"))


class _Step(NamedTuple):
    coefficients: Coefficients
    losses: Losses
    total: Tensor
    gradient_norm: Tensor
    rendering: Rendering


class _Loop:
    """The iterations of one training, their curves and their end."""

    def __init__(
        self,
        fabric: lf.Fabric,
        network: Regressor,
        wrapped: Callable[[Tensor], Coefficients],
        optimizer: torch.optim.Optimizer,
        schedule: LRScheduler,
        objective: Objective,
        input_size: int,
        live: LiveRun,
        checkpoints: Checkpoints,
    ) -> None:
        self.fabric, self.network, self.wrapped, self.optimizer = fabric, network, wrapped, optimizer
        self.schedule, self.objective, self.input_size = schedule, objective, input_size
        self.live, self.checkpoints, self.sheets = live, checkpoints, checkpoints.files / "sheets"
        self.params = objective.params
        self.average = _moving_average(network, self.params.ema_decay)
        self.tally = _Tally().to(fabric.device)
        parts: dict[str, Stateful] = {
            "network": network,
            "optimizer": optimizer,
            "schedule": schedule,
            "tally": self.tally,
        }
        self.resumable = Resumable(parts | ({} if self.average is None else {"average": self.average}), {})
        self.rows: list[dict[str, float]] = []
        self.logged_at = (0, time.monotonic())

    @property
    def result(self) -> Regressor:
        """The trained network: that of the last iteration, or the moving average."""
        return self.network if self.average is None else cast(Regressor, self.average.module)

    def run(self, inputs: TrainingInputs, title: str) -> tuple[pd.DataFrame, bool]:
        """All iterations that are still to do; the curves, and whether the run diverged."""
        state = self.checkpoints.load()
        done = 0 if state is None else int(state["iterations"])
        loader = _loader(inputs, self.params, self.fabric, done)
        if state is not None:
            self.rows = self.resumable.restore(state)
        self.logged_at = (done, time.monotonic())
        iterations = range(done, self.params.iterations)
        progress = tqdm(
            iterations, title, initial=done, total=self.params.iterations, disable=not self.fabric.is_global_zero
        )
        with closing(prefetched(loader)) as batches:
            for iteration in progress:
                batch: Batch = self.fabric.to_device(next(batches))
                prepared = prepare(batch, self.params.render_size)
                step = self._step(batch, prepared, iteration)
                last = iteration == self.params.iterations - 1
                if iteration % self.params.log_every == 0 or last:
                    value = self._record(iteration, step)
                    progress.set_postfix(total=f"{value:.3g}")
                    if self._diverged(value):
                        return pd.DataFrame(self.rows), True
                if (iteration + 1) % self.params.sheet_every == 0 or last:
                    self._draw_sheet(iteration, prepared, step)
                if self.checkpoints.due(iteration):
                    self.checkpoints.save(self.resumable.state(iteration + 1, self.rows))
        return pd.DataFrame(self.rows), False

    def _step(self, batch: Batch, prepared: Prepared, iteration: int) -> _Step:
        image = prepared.image if self.input_size == self.params.render_size else resized(batch.image, self.input_size)
        found = self.wrapped(image.contiguous(memory_format=torch.channels_last))
        coefficients = modelled(found, self.objective.variant)
        losses, rendering = self.objective(coefficients, batch, prepared)
        self.tally.add(prepared, rendering)
        total = total_loss(losses, self._weights_at(iteration))
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        norm = self._clipped_gradient()
        self.optimizer.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return _Step(coefficients, losses, total, norm, rendering)

    def _clipped_gradient(self) -> Tensor:
        """Shorten the gradient to `gradient_clip` where that is not zero; its length before."""
        parameters = list(self.network.parameters())
        norm = get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        if self.params.gradient_clip > 0:
            clip_grads_with_norm_(parameters, self.params.gradient_clip, norm)
        return norm

    def _weights_at(self, iteration: int) -> dict[str, float]:
        """Loss weights; the mouth joins at its start iteration (Sec. 4.1.4)."""
        if iteration >= self.params.mouth_start_iteration:
            return self.objective.weights
        return {**self.objective.weights, "mouth": 0.0}

    def _record(self, iteration: int, step: _Step) -> float:
        """Keep one point of each curve, the mean over all processes; returns the total, the same in each of them.

        The only place where the host waits for the device. What hangs on the clock goes to MLflow alone.
        """
        values = torch.stack([step.total, *step.losses, step.gradient_norm, *self.tally.shares()]).detach()
        self.tally.clear()
        means = cast(Tensor, self.fabric.all_reduce(values, reduce_op="mean")).tolist()
        names = ("total", *Losses._fields, "gradient_norm", "without_face", "without_mouth")
        row = dict(zip(names, means, strict=True))
        row["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        self._warn_of_empty_masks(iteration, row["without_face"])
        self.rows.append({"step": iteration, **row})
        (before, then), now = self.logged_at, time.monotonic()
        images = (iteration + 1 - before) * self.params.batch_size * self.fabric.world_size
        self.logged_at = (iteration + 1, now)
        self.live.metrics({curve_name(name): value for name, value in row.items()}, iteration)
        self.live.metrics({"images_per_second": images / max(now - then, 1e-9)}, iteration)
        return row["total"]

    def _warn_of_empty_masks(self, iteration: int, without_face: float) -> None:
        """Say once when the colours of a picture could not be compared; how often is in the curves."""
        seen_before = any(row["without_face"] > 0 for row in self.rows)
        if without_face > 0 and not seen_before and self.fabric.is_global_zero:
            _log.warning(
                "%s: up to iteration %d, %.1f %% of the pictures since the last point of the curves have no pixel that"
                " is face in both photograph and rendering; the colour loss leaves them out (column without_face)",
                self.live.stage,
                iteration,
                100 * without_face,
            )

    def _diverged(self, total: float) -> bool:
        """Whether the loss is no number or has exploded, which is logged with all losses."""
        first, last = self.rows[0], self.rows[-1]
        if np.isfinite(total) and total <= self.params.divergence_factor * first["total"]:
            return False
        if self.fabric.is_global_zero:
            losses = {name: last[name] for name in Losses._fields}
            message = "%s: diverged, the training ends at iteration %d: total %g, at the beginning %g; %s"
            _log.warning(message, self.live.stage, last["step"], total, first["total"], losses)
        return True

    def _draw_sheet(self, iteration: int, prepared: Prepared, step: _Step) -> None:
        """Keep what the network makes of the first faces of the batch."""
        if not self.fabric.is_global_zero:
            return
        model, camera = self.objective.model, self.objective.camera
        path = self.sheets / f"step-{iteration + 1:06d}.png"
        write_png(path, sample_sheet(prepared.image, step.coefficients, step.rendering, model, camera))
        self.live.picture("sheet", path, iteration)


class _Tally(nn.Module):
    """Counts pictures in which a loss finds nothing to compare; on the device, so that no iteration waits for it.

    Part of a checkpoint; of several processes, only the first one's count goes on after a kill.
    """

    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(3, dtype=torch.long))  # pictures, without face, without mouth

    @torch.no_grad()
    def add(self, prepared: Prepared, rendering: Rendering) -> None:
        """Count a batch."""
        no_face = (prepared.face * rendering.coverage).flatten(1).amax(dim=1) == 0
        no_mouth = prepared.mouth.flatten(1).amax(dim=1) == 0
        self.counts += torch.stack([torch.ones_like(no_face), no_face, no_mouth]).sum(dim=1)

    def shares(self) -> Tensor:
        """Share of the pictures whose face masks have no pixel in common, and of those with no mouth open to see."""
        return self.counts[1:] / self.counts[0]

    def clear(self) -> None:
        """Begin anew."""
        self.counts.zero_()


def _moving_average(network: Regressor, decay: float) -> AveragedModel | None:
    """Exponential moving average of the weights and of the running statistics; None for a decay of zero."""
    if decay == 0:
        return None
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
