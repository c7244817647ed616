"""On a GPU an iteration waits for the device only where curves get a point, and inside nvdiffrast's rasterizer.

Tensors on the device "meta" have no numbers: reading one is an error, as it would be a wait on a GPU.
"""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from models import rasterizer, renderer
from models.coefficients import CoefficientSizes
from models.face_model import FaceModel
from models.networks.regressor import Regressor
from models.rasterizer import cuda
from models.renderer import patch_mask
from pipelines.dataset import Batch, prepare
from pipelines.objective import Objective
from pipelines.training import _Loop, learning_rate_schedule
from tests.label_tree import CAMERA, SIZE
from tests.toy import toy_face_arrays
from tests.training_process import toy_train_params


class NoCopiesFromTheHost(TorchDispatchMode):
    """Refuses tensors made from Python numbers: on a GPU that is a copy which the host waits for."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation unless it brings numbers from the host."""
        if function is torch.ops.aten.lift_fresh.default and args[0].is_meta:
            raise AssertionError("a tensor is made from Python numbers")
        return function(*args, **(kwargs or {}))


def _batch(device: str) -> Batch:
    masks = [torch.zeros(4, 1, 2 * SIZE, 2 * SIZE, dtype=torch.uint8, device=device) for _ in range(3)]
    return Batch(
        torch.zeros(4, 3, 2 * SIZE, 2 * SIZE, dtype=torch.uint8, device=device),
        *masks,
        torch.zeros(4, 68, 2, device=device),
        torch.zeros(4, 8, device=device),
    )


@pytest.fixture
def gpu_without_nvdiffrast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The renderer as on a GPU; in place of nvdiffrast (docs/gpu.md) what has its shapes."""

    def no_ids(clip: Tensor, triangles: Tensor, size: tuple[int, int]) -> Tensor:
        return torch.empty(len(clip), *size, dtype=torch.int32, device=clip.device)

    def no_picture(attributes: Tensor, surface: Tensor, triangles: Tensor) -> tuple[Tensor, None]:
        return attributes.sum(dim=1)[:, None, None] * surface[..., :1], None

    def in_a_window(clip: Tensor, triangles: Tensor, size: int, **options: Any) -> Tensor:
        return patch_mask(clip, triangles, size, **{**options, "window_side": size // 2})

    monkeypatch.setattr(rasterizer, "_back_end", lambda clip: cuda)
    monkeypatch.setattr(cuda, "rasterize", no_ids)
    monkeypatch.setattr(cuda, "_nvdiffrast", lambda: SimpleNamespace(interpolate=no_picture))
    monkeypatch.setattr(renderer, "patch_mask", in_a_window)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no "meta"


@pytest.mark.usefixtures("gpu_without_nvdiffrast")
@pytest.mark.parametrize(
    ("clip", "backbone", "grid", "points"),
    [(0.0, "mobilenet_v3_small", 1, False), (1.0, "mobilenet_v3_small", 1, False), (0.0, "resnet18", 4, True)],
)
def test_an_iteration_reads_nothing_from_the_device(
    tmp_path: Path, clip: float, backbone: str, grid: int, points: bool
) -> None:
    params = toy_train_params(gradient_clip=clip, ema_decay=0.9)
    recognizer = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 8))
    objective = Objective(FaceModel(toy_face_arrays()), recognizer, CAMERA, SIZE, params, "full").to("meta")
    network = Regressor(backbone, CoefficientSizes(6, 5, 4), grid, points).to("meta")
    optimizer = torch.optim.Adam(network.parameters(), lr=params.learning_rate)
    fabric: Any = SimpleNamespace(device="meta", backward=Tensor.backward, all_reduce=lambda value, **_: value)
    nothing: Any = SimpleNamespace(files=tmp_path)
    schedule = learning_rate_schedule(optimizer, params)
    loop = _Loop(fabric, network, network, optimizer, schedule, objective, SIZE, nothing, nothing)
    batch = _batch("meta")
    with NoCopiesFromTheHost():
        step = loop._step(batch, prepare(batch, SIZE), 0)
    assert step.total.device.type == "meta" and network.head.weight.grad is not None
    with pytest.raises(RuntimeError, match="meta"):
        loop._record(0, step)


def test_batches_are_prepared_without_a_copy_from_the_host() -> None:
    with NoCopiesFromTheHost():
        prepared = prepare(_batch("meta"), SIZE)
    assert prepared.face.shape == (4, 1, SIZE, SIZE)
    with NoCopiesFromTheHost(), pytest.raises(AssertionError, match="Python numbers"):
        prepared.face * torch.tensor([1.0], device="meta")


@pytest.mark.usefixtures("gpu_without_nvdiffrast")
@pytest.mark.parametrize("occlusion", [True, False])
def test_outlines_read_nothing_from_the_device(occlusion: bool) -> None:
    clip = torch.empty(2, 30, 4, device="meta", requires_grad=True)
    colours = torch.empty(2, 30, 3, device="meta", requires_grad=True)
    triangles = torch.empty(50, 3, dtype=torch.int32, device="meta")
    with NoCopiesFromTheHost():
        ids = rasterizer.rasterize(clip, triangles, (SIZE, SIZE + 1))
        picture = rasterizer.interpolate(colours, clip, triangles, ids)
        rasterizer.edge_gradient(picture, clip, triangles, ids, occlusion=occlusion).sum().backward()
    assert clip.grad is not None and colours.grad is not None
