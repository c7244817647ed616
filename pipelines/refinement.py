"""Refines coefficients by gradient descent on the losses of the photographs themselves; beyond the paper.

What moves is the raw output of the network, in which every group has a spread of about one, so that one learning rate
suits angles, millimetres and modes alike. It goes down to zero as half a cosine.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from models.coefficients import Coefficients
from models.losses import total_loss
from models.networks.regressor import coefficients_from_raw, raw_from_coefficients, sizes_of
from pipelines.dataset import Batch, Prepared, prepare
from pipelines.objective import Objective
from pipelines.variants import modelled


class Refined(NamedTuple):
    """Coefficients after the steps; those of the start where the steps did not lower the photograph's total loss."""

    coefficients: Coefficients
    before: Float[Tensor, "B"]  # total loss (Eq. 6) of each photograph at the start
    after: Float[Tensor, "B"]  # of `coefficients`
    improved: Bool[Tensor, "B"]


def refine(
    coefficients: Coefficients, batch: Batch, objective: Objective, *, steps: int, learning_rate: float
) -> Refined:
    """Take `steps` steps of Adam from `coefficients` on; each photograph goes its own way, whatever is beside it.

    A photograph whose gradient stops being finite, or whose loss is not lower in the end, keeps what it had.
    """
    prepared = prepare(batch, objective.params.render_size)
    found = _descended(coefficients, batch, prepared, objective, steps, learning_rate)
    before = total_of_each(coefficients, batch, prepared, objective)
    after = total_of_each(found, batch, prepared, objective)
    improved = after < before  # false for NaN
    chosen = (torch.where(_like(improved, new), new, old) for new, old in zip(found, coefficients, strict=True))
    return Refined(Coefficients(*chosen), before, torch.where(improved, after, before), improved)


@torch.no_grad()
def total_of_each(
    coefficients: Coefficients, batch: Batch, prepared: Prepared, objective: Objective
) -> Float[Tensor, "B"]:
    """The total loss of every photograph; the losses are means over a batch, so each is a batch of its own."""
    totals = []
    for index in range(len(batch.image)):
        one = slice(index, index + 1)
        losses, _ = objective(
            Coefficients(*(group[one] for group in coefficients)),
            Batch(*(labels[one] for labels in batch)),
            Prepared(*(pictures[one] for pictures in prepared)),
        )
        totals.append(total_loss(losses, objective.weights))
    return torch.stack(totals)


def _descended(
    coefficients: Coefficients,
    batch: Batch,
    prepared: Prepared,
    objective: Objective,
    steps: int,
    learning_rate: float,
) -> Coefficients:
    """The coefficients after the last step; NaN after a gradient that was not finite, which spreads to no other one."""
    sizes, raw = sizes_of(coefficients), raw_from_coefficients(coefficients).requires_grad_()
    optimizer = torch.optim.Adam([raw], lr=learning_rate)
    schedule = CosineAnnealingLR(optimizer, T_max=steps)
    for _ in range(steps):
        losses, _ = objective(modelled(coefficients_from_raw(raw, sizes), objective.variant), batch, prepared)
        total = len(raw) * total_loss(losses, objective.weights)  # a sum: the gradient of one knows no others
        (raw.grad,) = torch.autograd.grad(total, raw)
        optimizer.step()
        schedule.step()
    return modelled(coefficients_from_raw(raw.detach(), sizes), objective.variant)


def _like(chosen: Bool[Tensor, "B"], values: Tensor) -> Tensor:
    return chosen.view(-1, *[1] * (values.ndim - 1))
