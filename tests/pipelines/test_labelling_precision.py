"""Labels in bf16: only where the processor has it, only while they agree, the same for any batch size."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.networks.landmark_network import LandmarkNetwork
from pipelines.labelling import precision
from pipelines.labelling.landmark_labels import label_landmarks
from pipelines.labelling.network_training import Forward, train_network
from pipelines.labelling.precision import checked_precision, in_precision, resolved_precision
from pipelines.labelling.segmentation import label_segments
from pipelines.params import LandmarksParams, SegmentParams
from pipelines.shards import read_rows
from tests.label_folders import BRIEF_LANDMARKS, train_toy_landmarks, train_toy_segmenter, write_crops


@pytest.mark.parametrize(
    ("units", "expected"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx512_bf16": False}, "fp32"), ({}, "fp32")],
)
def test_auto_is_bf16_where_the_processor_has_it(
    units: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "best_device", lambda: "cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    assert resolved_precision("auto") == expected
    assert resolved_precision("bf16") == "bf16" and resolved_precision("fp32") == "fp32"


def test_a_disagreement_is_logged_and_ends_in_fp32(caplog: pytest.LogCaptureFixture) -> None:
    weights, crops = torch.full((4, 4), 1.001), torch.ones(2, 4)

    def difference(exact: torch.Tensor, fast: torch.Tensor) -> str:
        return "too far apart" if (exact - fast).abs().max() > 1e-4 else ""

    with caplog.at_level(logging.WARNING):
        assert checked_precision("bf16", lambda image: image @ weights, crops, difference) == "fp32"
    assert "too far apart" in caplog.text
    assert checked_precision("bf16", lambda image: image + 1, crops, difference) == "bf16"


def test_fp32_asks_for_no_check() -> None:
    def never(*_: object) -> str:
        raise AssertionError("called")

    assert checked_precision("fp32", never, torch.ones(1), never) == "fp32"


def test_landmarks_keep_their_tenths_of_pixels_in_bf16() -> None:
    """Everything up to the heatmaps may be rounded, the coordinates of their cells may not."""
    torch.manual_seed(0)
    network = LandmarkNetwork("resnet18", 128).eval()
    network.decoder.set_prior((torch.rand(20, 68, 2) + 20 + 8 * torch.rand(68, 2)) / 32)
    crops = torch.rand(2, 3, 224, 224)
    exact, fast = (in_precision(name, network.locate, crops).points for name in ("fp32", "bf16"))
    assert 0 < (exact - fast).norm(dim=-1).median() < 0.1


@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
def test_batch_size_changes_no_label(wanted: str, tmp_path: Path) -> None:
    write_crops(tmp_path, 5)
    aligned = tmp_path / "aligned"
    train_toy_segmenter(tmp_path, "segmenter")
    train_toy_landmarks(tmp_path, "network")
    for size in (2, 5):
        output, memo = tmp_path / str(size), tmp_path / f"memo{size}"
        params = SegmentParams(batch_size=size, precision=wanted)
        label_segments(aligned, tmp_path / "segmenter", output / "segments", params=params, memo=memo)
        own = LandmarksParams(network="own", batch_size=size, precision=wanted)
        label_landmarks(aligned, tmp_path / "network", output / "landmarks", params=own, memo=memo)
    for shard in ("shard-00000.tar", "shard-00001.tar"):
        assert (tmp_path / "2/segments" / shard).read_bytes() == (tmp_path / "5/segments" / shard).read_bytes()
    small, large = (np.stack(read_rows(tmp_path / size / "landmarks")["landmarks"].tolist()) for size in ("2", "5"))
    np.testing.assert_allclose(small, large, atol=1e-3)


@pytest.mark.parametrize(("wanted", "inside"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_only_the_network_computes_in_the_precision_of_training(wanted: str, inside: torch.dtype) -> None:
    network = nn.Conv2d(3, 2, 1)
    seen = []
    network.register_forward_hook(lambda module, arguments, result: seen.append(result.dtype))

    def loss_of(forward: Forward, image: Tensor, generator: torch.Generator) -> Tensor:
        result = forward(image)
        assert result.dtype == (result @ result.mT).dtype == torch.float32
        return result.square().mean()

    params = BRIEF_LANDMARKS.model_copy(update={"precision": wanted})
    pictures: Any = list(torch.rand(4, 3, 8, 8))  # the loader takes any sequence
    history = train_network(network, pictures, loss_of=loss_of, params=params, stage="train")
    assert seen == [inside] * params.iterations
    assert np.isfinite(history["loss"]).all()
