"""The loop that trains both labelling networks, and batches of crops for their inference."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from pipelines.dataset import EndlessSampler, endless_batches
from pipelines.device import best_device
from pipelines.labelling.precision import resolved_precision
from pipelines.params import NetworkTrainingParams

Forward = Callable[[Tensor], Tensor]

LOGGED_STEPS = 50  # points of the training curve
SHORTEST_CYCLE = 6  # iterations; of fewer, a fifth is too little to warm up in


def train_network(
    network: nn.Module,
    dataset: Dataset[Any],
    *,
    loss_of: Callable[[Forward, Any, torch.Generator], Tensor],
    params: NetworkTrainingParams,
    stage: str,
) -> pd.DataFrame:
    """Train in place with Adam and a one-cycle learning rate; returns the curve: step, mean loss since the last, rate.

    `loss_of` augments a batch with the generator and gives its loss; only the network that it calls computes in
    `params.precision`.
    """
    network.to(best_device()).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=params.learning_rate, total_steps=max(params.iterations, SHORTEST_CYCLE), pct_start=0.2
    )
    sampler = EndlessSampler(len(dataset), params.seed)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(params.seed)
    forward = _forward_in(resolved_precision(params.precision), network)
    history, losses = [], []
    batches = islice(endless_batches(dataset, params.batch_size, sampler), params.iterations)
    with tqdm(batches, desc=stage, total=params.iterations, smoothing=0.05) as progress:
        for step, batch in enumerate(progress, start=1):
            rate = schedule.get_last_lr()[0]
            loss = loss_of(forward, batch, generator)
            if not torch.isfinite(loss):
                raise ValueError(f"{stage}: the loss is not finite at step {step}; lower {stage}.learning_rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            if step % max(1, params.iterations // LOGGED_STEPS) == 0 or step == params.iterations:
                history.append({"step": step, "loss": float(np.mean(losses)), "learning_rate": rate})
                progress.set_postfix(loss=f"{np.mean(losses):.3f}")
                losses = []
    network.eval()
    return pd.DataFrame(history)


def _forward_in(precision: str, network: nn.Module) -> Forward:
    """The network as a function of pictures; its results are of 32 bits in either precision."""

    def forward(image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, torch.bfloat16, enabled=precision == "bf16"):
            result: Tensor = network(image)
        return result.float()

    return forward
