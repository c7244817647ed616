"""The benchmark of the training measures what the training does, on toy data."""

import gc
import mmap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torchvision.ops import StochasticDepth

from benchmarks import training
from pipelines.params import Params
from pipelines.weights import WEIGHTS
from tests.label_tree import SIZE, smoke_params, write_label_tree
from tests.training_process import all_layers, toy_regressor_params, toy_train_params, train_toy


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy labels, laid out as the data of a finished run."""
    root = tmp_path_factory.mktemp("data")
    write_label_tree(root)
    (root / "weights").mkdir()
    (root / "weights/recognizer").symlink_to(root / "recognizer")
    return root


def toy_params(**changes: object) -> Params:
    params = smoke_params()
    camera = params.camera.model_copy(update={"crop_size": SIZE})
    changed = {"camera": camera, "regressor": toy_regressor_params(), "train": toy_train_params(**changes)}
    return params.model_copy(update=changed)


def test_a_step_is_that_of_the_training(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StochasticDepth, "forward", all_layers)
    params = toy_params(iterations=2, mouth_start_iteration=0, schedule="constant")
    train_toy(root, tmp_path / "out", params.train)
    trained = load_file(tmp_path / "out" / WEIGHTS)
    measured = training.Training(training.inputs_of(root), params)
    for _ in range(2):
        measured.step(measured.load())
    weights = dict(measured.network.state_dict())
    assert set(weights) == set(trained)
    for name, weight in weights.items():
        torch.testing.assert_close(weight, trained[name], msg=name)


def test_the_parts_of_a_step_are_measured(root: Path) -> None:
    one = training.Training(training.inputs_of(root), toy_params())
    before = {name: weight.clone() for name, weight in one.network.named_parameters()}
    milliseconds = training.speed(one, rounds=1)
    assert {"loading and step", "step", *training.PARTS} <= set(milliseconds)
    assert all(value > 0 for value in milliseconds.values())
    for name, weight in one.network.named_parameters():
        assert torch.equal(weight, before[name]), name  # all rounds see the same faces
    lines = training.ratio_lines(milliseconds)
    assert [line.goal for line in lines] == ["<= 0.3", "<= 0.333333", "<= 0.05", ""]
    assert all(np.isfinite(line.measured) for line in lines)


def test_ratios_divide_what_they_name() -> None:
    times = {"loading and step": 100.0, "step": 95.0, "network": 40.0, "network with Adam": 50.0}
    times |= {"render and losses": 10.0, "identity": 38.0}
    lines = training.ratio_lines(times)
    assert [round(line.measured, 3) for line in lines] == [0.25, 0.4, 0.05, 1.9]
    assert [line.met for line in lines] == [True, False, True, None]


def test_the_identity_loss_is_measured_apart(root: Path) -> None:
    one = training.Training(training.inputs_of(root), toy_params())
    seen = []
    one.objective.recognizer.register_forward_hook(lambda *_: seen.append(len(seen)))
    works = one.works(one.load())
    seen.clear()
    calls = {}
    for name, work in works.items():
        work()
        calls[name] = len(seen)
        seen.clear()
    assert {name for name, count in calls.items() if count} == {"identity", "step", "loading and step"}


def test_growing_memory_misses_the_goal(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = training.Training(training.inputs_of(root), toy_params())
    sizes = iter([1.00e8, 1.01e8, 1.05e8])
    monkeypatch.setattr(training, "resident_bytes", lambda: next(sizes))
    line = training.memory_line(one, 1, 3)
    assert line.measured == pytest.approx(1.05) and not line.met
    assert "105 MB" in line.name


def test_resident_memory_is_that_of_this_process() -> None:
    gc.collect()  # or it sets memory free in between
    before = training.resident_bytes()
    with mmap.mmap(-1, 200_000_000) as block:  # straight from the system; the allocator may hold a free block as large
        block.write(bytes([1]) * len(block))
        assert training.resident_bytes() - before > 0.5 * len(block)


def test_sizes_of_the_paper_are_measured_for_each_batch_size(root: Path) -> None:
    lines = list(training.paper_lines(training.inputs_of(root), toy_params(iterations=200_000), {2: 2.0, 4: 1.5}, 1))
    assert [line.goal for line in lines] == ["<= 2", "", "<= 1.5", ""]
    assert "batch 4" in lines[2].name and "200000 iterations" in lines[3].name
    assert all(line.measured > 0 for line in lines)


def test_the_profile_is_chosen_by_its_name() -> None:
    assert training.profile_params("paper").train.batch_size == 32
    assert training.profile_params("smoke").train.iterations == 8
