"""bfloat16, with 8 significant bits, in the labelling networks: where it is fast and changes next to nothing."""

import logging
from collections.abc import Callable
from typing import Literal, TypeVar

import torch
from torch import Tensor

from pipelines.device import best_device
from pipelines.params import Precision

_log = logging.getLogger(__name__)
_Labels = TypeVar("_Labels")


def resolved_precision(wanted: Precision) -> Literal["fp32", "bf16"]:
    """What `auto` means here: bf16 where the processor multiplies such numbers, else fp32."""
    if wanted == "auto":
        return "bf16" if _multiplies_bf16() else "fp32"
    return wanted


def checked_precision(
    wanted: Literal["fp32", "bf16"],
    label: Callable[[Tensor], _Labels],
    crops: Tensor,
    complaint: Callable[[_Labels, _Labels], str],
) -> Literal["fp32", "bf16"]:
    """bf16 when it is wanted and `complaint` finds nothing wrong with it on these crops, else fp32, with a warning."""
    if wanted == "fp32":
        return "fp32"
    exact, fast = (in_precision(precision, label, crops) for precision in ("fp32", "bf16"))
    disagreement = complaint(exact, fast)
    if disagreement:
        _log.warning("bf16 labels differ from fp32 labels (%s); this shard is labelled in fp32", disagreement)
    return "fp32" if disagreement else "bf16"


def in_precision(precision: str, label: Callable[[Tensor], _Labels], crops: Tensor) -> _Labels:
    """The labels of the crops, by a network that computes in fp32 or, where torch considers it safe, in bf16."""
    with torch.inference_mode(), torch.autocast(crops.device.type, torch.bfloat16, enabled=precision == "bf16"):
        return label(crops)


def _multiplies_bf16() -> bool:
    if best_device() == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(unit, False) for unit in ("avx512_bf16", "amx_bf16"))
