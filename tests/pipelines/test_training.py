import json
import math
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torchvision.ops import StochasticDepth

from models.face_model import FaceModel
from models.losses import Losses
from models.segments import SEGMENT_INDEX
from pipelines import training
from pipelines.dataset import Batch, EndlessSampler, LabelledCrops, Prepared, endless_batches, prepare
from pipelines.objective import Objective
from pipelines.params import TrainParams, Variant
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.regression_network import load_regressor
from pipelines.training import TrainingInputs, learning_rate_schedule, train_regressor
from pipelines.weights import EXAMPLE, WEIGHTS, read_description
from tests.label_tree import CAMERA, SIZE, random_faces, smoke_params, write_label_tree
from tests.toy import toy_face_arrays
from tests.training_process import all_layers, toy_regressor_params, toy_train_params, train_toy


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    write_label_tree(root)
    return root


def _train(root: Path, output: Path, params: TrainParams, **options: Any) -> pd.DataFrame:
    train_toy(root, output, params, **options)
    return pd.read_csv(output / "history.csv")


def _batch(root: Path) -> Batch:
    keys = [f"face-{index}" for index in range(6)]
    dataset = LabelledCrops(root / "labels", keys, load_features(root / "labels/features"))
    return Batch(*(torch.stack(column) for column in zip(*(dataset[index] for index in range(6)), strict=True)))


def _objective(root: Path, variant: Variant = "full", **changes: object) -> Objective:
    recognizer = load_recognizer(root / "recognizer")
    return Objective(FaceModel(toy_face_arrays()), recognizer, CAMERA, SIZE, toy_train_params(**changes), variant)


def test_the_truth_explains_its_photograph(root: Path) -> None:
    batch = _batch(root)
    # The labels' mouths are drawn with one sample, too.
    losses, rendering = _objective(root, mouth_samples=1)(random_faces(6), batch, prepare(batch, SIZE))
    assert losses.lmk < 1e-3 and losses.mouth < 1e-3
    # The full picture is the photograph up to JPEG; the diffuse part alone lacks its highlights.
    wrong, _ = _objective(root)(random_faces(6, seed=1), batch, prepare(batch, SIZE))
    assert losses.photo < 0.5 * wrong.photo
    assert wrong.lmk > 1 and wrong.mouth > 1
    assert rendering.coverage.shape == (6, 1, SIZE, SIZE)


def test_colours_count_only_where_photograph_and_rendering_show_the_face(root: Path) -> None:
    objective, batch, guess = _objective(root), _batch(root), random_faces(6, seed=1)
    everywhere = batch._replace(segments=torch.full_like(batch.segments, SEGMENT_INDEX["skin"]))
    covered = objective(guess, everywhere, prepare(everywhere, SIZE))[1].coverage
    left = torch.arange(SIZE) < SIZE // 2
    for labels, outside in (
        (everywhere, (covered == 0).expand(-1, 3, -1, -1)),  # beside the rendered face
        (everywhere._replace(segments=everywhere.segments * ~left), left.expand(6, 3, SIZE, SIZE)),  # hair, background
    ):
        changed = labels._replace(image=torch.where(outside, 255 - labels.image, labels.image))
        before, after = (objective(guess, one, prepare(one, SIZE))[0].photo for one in (labels, changed))
        assert before == after


def test_losses_do_not_depend_on_the_size_of_the_rendering(root: Path) -> None:
    batch = _batch(root)
    guess = random_faces(6, seed=1)
    small, large = (_objective(root, render_size=size)(guess, batch, prepare(batch, size))[0] for size in (64, 128))
    torch.testing.assert_close(small.lmk, large.lmk)
    # Borders are blurred by half a pixel; forgetting the area of a pixel would be a factor of four.
    assert small.mouth.item() == pytest.approx(large.mouth.item(), rel=0.35)
    assert small.photo.item() == pytest.approx(large.photo.item(), rel=0.2)


def test_parameters_choose_how_the_mouth_is_drawn(root: Path) -> None:
    batch = _batch(root)
    choices: list[dict[str, object]] = [{"mouth_samples": 1}, {"mouth_samples": 3}, {"edge_method": "pixel_pair"}]
    masks = [
        _objective(root, **{"mouth_samples": 1, **choice})(random_faces(6), batch, prepare(batch, SIZE))[1].mouth
        for choice in choices
    ]
    assert set(masks[0].unique().tolist()) == {0.0, 1.0}
    for mask in masks[1:]:
        assert ((mask > 0) & (mask < 1)).any() and torch.allclose(mask.sum(), masks[0].sum(), rtol=0.05)
    assert not torch.allclose(masks[1], masks[2])


def test_a_variant_without_the_identity_loss_saves_the_recogniser(root: Path) -> None:
    objective = _objective(root, "no_id")
    objective.recognizer = nn.Identity()  # would fail if it were asked
    batch = _batch(root)
    losses, _ = objective(random_faces(6), batch, prepare(batch, SIZE))
    assert losses.id.isnan()
    assert all(value.isfinite() for value in losses[1:])


def test_the_recogniser_stays_fixed_but_lets_the_gradient_through(root: Path) -> None:
    objective = _objective(root)
    batch = _batch(root)
    guess = random_faces(6, seed=1)
    guess.shape.requires_grad_()
    objective(guess, batch, prepare(batch, SIZE))[0].id.backward()
    assert guess.shape.grad is not None and guess.shape.grad.abs().max() > 0
    assert all(weight.grad is None for weight in objective.recognizer.parameters())
    assert not objective.recognizer.training


def test_training_lowers_the_loss_and_writes_everything(root: Path, tmp_path: Path) -> None:
    params = toy_train_params(iterations=24, mouth_start_iteration=6, learning_rate=2e-3, sheet_every=12)
    history = _train(root, tmp_path, params)
    for name in ("total", "photo", "lmk"):
        early = history[name][6:9] if name == "total" else history[name][:3]  # the mouth joins at 6
        assert history[name].iloc[-3:].mean() < 0.9 * early.mean(), name
    assert history["step"].tolist() == list(range(24))
    shares = {"without_face", "without_mouth"}
    assert set(history.columns) == {"step", "total", *Losses._fields, "learning_rate", "gradient_norm", *shares}
    assert read_description(tmp_path)["diverged"] is False
    with Image.open(tmp_path / EXAMPLE) as example:
        assert example.size == (SIZE, SIZE)
    assert [path.name for path in sorted((tmp_path / "sheets").iterdir())] == ["step-000012.png", "step-000024.png"]
    with Image.open(tmp_path / "sheets/step-000024.png") as sheet:
        assert sheet.size == (6 * SIZE, 4 * SIZE)  # four faces, each in six ways


def test_the_trained_network_can_be_loaded(root: Path, tmp_path: Path) -> None:
    _train(root, tmp_path, toy_train_params(iterations=1))
    model = FaceModel(toy_face_arrays())
    network = load_regressor(tmp_path, model)
    assert not network.training
    with torch.inference_mode():
        assert network(torch.rand(1, 3, SIZE, SIZE)).shape.isfinite().all()
    description = json.loads((tmp_path / "network.json").read_text())
    (tmp_path / "network.json").write_text(json.dumps({**description, "sizes": description["sizes"] | {"shape": 80}}))
    with pytest.raises(ValueError, match=r"trained for a face model with \[80, 5, 4\] modes, this one has \[6, 5, 4\]"):
        load_regressor(tmp_path, model)


def test_the_moving_average_is_kept_instead_of_the_last_weights(root: Path, tmp_path: Path) -> None:
    decay, settings = 0.75, {"schedule": "constant", "learning_rate": 1e-3}
    for name, changes in (("one", {"iterations": 1}), ("two", {"iterations": 2}), ("mean", {"ema_decay": decay})):
        _train(root, tmp_path / name, toy_train_params(**{"iterations": 2, **settings, **changes}))
    one, two, mean = (load_file(tmp_path / name / WEIGHTS) for name in ("one", "two", "mean"))
    for layer in ("head.weight", "backbone.features.0.1.running_mean"):
        assert not torch.equal(one[layer], two[layer])
        torch.testing.assert_close(mean[layer], decay * one[layer] + (1 - decay) * two[layer])


def test_a_clipped_gradient_moves_the_weights_less(root: Path, tmp_path: Path) -> None:
    """So short that Adam, which ignores the length of gradients, sees its epsilon instead."""
    for name, clip in (("free", 0.0), ("loose", 1e9), ("short", 1e-12)):
        history = _train(root, tmp_path / name, toy_train_params(iterations=1, gradient_clip=clip))
        assert history["gradient_norm"][0] > 1e-3  # before it was clipped
    free, loose, short = (load_file(tmp_path / name / WEIGHTS) for name in ("free", "loose", "short"))
    assert all(torch.equal(free[name], loose[name]) for name in free)
    moved = (free["head.weight"] - short["head.weight"]).abs().max()
    assert moved == pytest.approx(toy_train_params().learning_rate, rel=0.1)  # only the free one went a whole step


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(root: Path, tmp_path: Path) -> None:
    changes = {
        "iterations": 12,
        "checkpoint_every": 2,
        "sheet_every": 3,
        "ema_decay": 0.5,
        "schedule": "cosine",
        "warmup_iterations": 7,
    }
    _train(root, tmp_path / "whole", toy_train_params(**changes))
    assert not (root / "memo/training/full").exists()
    command = [sys.executable, "-m", "tests.training_process", str(root), str(tmp_path / "killed"), json.dumps(changes)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not list(root.glob("memo/training/full/*/state.pt")):
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not (tmp_path / "killed" / WEIGHTS).exists()
    state = torch.load(next(root.glob("memo/training/full/*/state.pt")), weights_only=True)
    assert 0 < state["iterations"] < 12
    _train(root, tmp_path / "killed", toy_train_params(**changes))
    files = [WEIGHTS, "history.csv", "network.json", *(f"sheets/step-{step:06d}.png" for step in (3, 6, 9, 12))]
    for file in files:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "killed" / file).read_bytes(), file
    assert not (root / "memo/training/full").exists()


def test_a_checkpoint_of_another_training_is_left_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_regressor", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _train(root, tmp_path / "first", toy_train_params(iterations=2, checkpoint_every=1))
    assert list(root.glob("memo/training/full/*/state.pt"))
    other = _train(root, tmp_path / "other", toy_train_params(iterations=2, seed=99))
    assert other["step"].tolist() == [0, 1]
    fresh = _train(root, tmp_path / "fresh", toy_train_params(iterations=2, seed=99))
    pd.testing.assert_frame_equal(other, fresh)


def _torchrun(node: int, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
        *("--node-rank", str(node), "--master-addr", "127.0.0.1", "--master-port", str(port)),
    ]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("processes", ["on one machine", "as if on two machines"])
def test_two_processes_train_like_one_with_the_doubled_batch(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: str
) -> None:
    """ConvNeXt without cells, because a batch normalization knows only the half of its own process."""
    monkeypatch.setattr(StochasticDepth, "forward", all_layers)
    settings = {"iterations": 3, "schedule": "constant"}
    changed = {"backbone": "convnext_tiny", "feature_grid": 1}
    regressor = toy_regressor_params(**changed)
    one = _train(root, tmp_path / "one", toy_train_params(**settings, batch_size=4), regressor=regressor)
    here = processes == "on one machine"
    changes = {**settings, "batch_size": 2, "devices": 2 if here else 1, "nodes": 1 if here else 2}
    module = ["-m", "tests.training_process", str(root), str(tmp_path / "two")]
    module.append(json.dumps({**changes, "regressor": changed}))
    port = _free_port()
    commands = [[sys.executable, *module]] if here else [[*_torchrun(node, port), *module] for node in range(2)]
    started = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in commands]
    assert [process.wait(timeout=300) for process in started] == [0] * len(started)
    two = pd.read_csv(tmp_path / "two/history.csv")
    pd.testing.assert_frame_equal(one, two, rtol=1e-3)
    assert one["total"].nunique() == 3


def test_several_lights_and_regional_shininess_are_trained(root: Path, tmp_path: Path) -> None:
    model = FaceModel(toy_face_arrays())
    more = toy_regressor_params(specular_lights=2, shininess="region")
    _train(root, tmp_path / "none", toy_train_params(iterations=1, learning_rate=1e-12), regressor=more)
    _train(root, tmp_path / "some", toy_train_params(iterations=6, learning_rate=1e-3), regressor=more)
    picture = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before, after = (load_regressor(tmp_path / name, model)(picture) for name in ("none", "some"))
    assert after.light_position.shape == (1, 2, 3) and after.shininess.shape == (1, model.region_count)
    assert after.light_strength[0, 0] == 1
    assert not torch.equal(after.light_strength[0, 1], before.light_strength[0, 1])
    assert (after.shininess != before.shininess).all()


def test_the_same_seed_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("second", 1), ("other", 2)):
        _train(root, tmp_path / name, toy_train_params(iterations=3, seed=seed))
    for file in (WEIGHTS, "history.csv", "network.json", "sheets/step-000003.png"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    assert (tmp_path / "first" / WEIGHTS).read_bytes() != (tmp_path / "other" / WEIGHTS).read_bytes()


def test_without_the_identity_loss_its_curve_is_empty_and_the_total_is_not(root: Path, tmp_path: Path) -> None:
    history = _train(root, tmp_path, toy_train_params(), variant="no_id")
    assert history["id"].isna().all()
    assert np.isfinite(history["total"]).all()
    assert read_description(tmp_path)["diverged"] is False


def _total(row: pd.Series, params: TrainParams, without: tuple[str, ...] = ()) -> float:
    return sum(weight * row[name] for name, weight in params.weights.model_dump().items() if name not in without)


def test_the_mouth_counts_from_its_start(root: Path, tmp_path: Path) -> None:
    params = toy_train_params(iterations=4, mouth_start_iteration=2)
    history = _train(root, tmp_path, params)
    assert (history["mouth"] > 0).all()
    for step, row in history.iterrows():
        without = ("mouth",) if int(str(step)) < 2 else ()
        assert row["total"] == pytest.approx(_total(row, params, without), rel=1e-5)


@pytest.mark.parametrize("cause", ["learning rate", "factor"])
def test_a_run_that_diverges_is_a_result(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, cause: str
) -> None:
    changes: dict[str, object] = (
        {"learning_rate": 1e12, "iterations": 10}
        if cause == "learning rate"
        else {"divergence_factor": 1 + 1e-9, "iterations": 10, "learning_rate": 1.0}
    )
    history = _train(root, tmp_path, toy_train_params(**changes))
    assert len(history) < 10
    assert read_description(tmp_path)["diverged"] is True
    last, first = history["total"].iloc[-1], history["total"].iloc[0]
    assert math.isnan(last) or last > first
    assert f"train@full: diverged, the training ends at iteration {len(history) - 1}" in caplog.text
    assert (tmp_path / WEIGHTS).is_file()


def test_a_warm_start_is_loaded(root: Path, tmp_path: Path) -> None:
    _train(root, tmp_path / "pretrained", toy_train_params(iterations=1, seed=11))
    inputs = TrainingInputs(root / "face_model.h5", root / "labels", root / "recognizer", tmp_path / "pretrained")
    params = toy_train_params(iterations=1, learning_rate=1e-30)
    train_regressor(
        "full",
        inputs,
        tmp_path / "trained",
        camera=CAMERA,
        crop_size=SIZE,
        regressor=toy_regressor_params(initialization="pretrained"),
        params=params,
        experiment="test",
        memo=root / "memo",
    )
    model = FaceModel(toy_face_arrays())
    before, after = (load_regressor(tmp_path / name, model).head.weight for name in ("pretrained", "trained"))
    torch.testing.assert_close(before, after)
    assert read_description(tmp_path / "trained")["initialization"] == "pretrained"


def test_the_learning_rate_stays_or_falls_to_zero() -> None:
    rates = {}
    for name in ("constant", "cosine"):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        params = smoke_params().train.model_copy(update={"iterations": 4, "schedule": name})
        schedule, rates[name] = learning_rate_schedule(optimizer, params), []
        for _ in range(5):
            rates[name].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
    assert rates["constant"] == pytest.approx([0.1] * 5)
    assert rates["cosine"] == pytest.approx([0.05 * (1 + math.cos(math.pi * i / 4)) for i in range(5)])


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_the_learning_rate_rises_before_it_goes_its_way(name: str) -> None:
    rates = {}
    for warmup in (0, 3):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        changes = {"iterations": 8, "schedule": name, "warmup_iterations": warmup}
        schedule = learning_rate_schedule(optimizer, smoke_params().train.model_copy(update=changes))
        rates[warmup] = []
        for _ in range(8):
            rates[warmup].append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
    share = [after / before for before, after in zip(rates[0], rates[3], strict=True)]
    assert share == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])


def test_a_missing_warm_start_stops_the_stage(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _train(root, tmp_path, toy_train_params(), regressor=toy_regressor_params(initialization="pretrained"))


def test_no_photographs_left_is_said(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "crops", lambda *_: pd.DataFrame({"key": []}))
    with pytest.raises(ValueError, match="no photograph left to train on"):
        _train(root, tmp_path, toy_train_params())


def test_batches_follow_the_seed_not_the_state_of_torch(root: Path) -> None:
    keys = [f"face-{index}" for index in range(6)]
    dataset = LabelledCrops(root / "labels", keys, load_features(root / "labels/features"))
    first = next(iter(endless_batches(dataset, 3, EndlessSampler(6, 1))))
    torch.rand(5)
    second = next(iter(endless_batches(dataset, 3, EndlessSampler(6, 1))))
    torch.testing.assert_close(first.image, second.image)


def test_pictures_without_face_or_mouth_are_counted_and_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def hidden(batch: Batch, size: int) -> Prepared:
        """As if hands hid two of the six faces, and three mouths were closed."""
        prepared = prepare(batch, size)
        seen, opened = (torch.arange(6).view(6, 1, 1, 1) >= count for count in (2, 3))
        return prepared._replace(face=prepared.face * seen, mouth=torch.ones_like(prepared.mouth) * opened)

    monkeypatch.setattr(training, "prepare", hidden)
    history = _train(root, tmp_path, toy_train_params(iterations=5, log_every=2))
    assert history["without_face"].tolist() == pytest.approx([1 / 3] * 3)
    assert history["without_mouth"].tolist() == pytest.approx([0.5] * 3)
    assert np.isfinite(history["total"]).all()
    assert caplog.text.count("train@full: up to iteration 0, 33.3 % of the pictures") == 1
    assert caplog.text.count("no pixel that is face") == 1


def test_every_picture_since_the_last_point_of_the_curves_counts(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = iter(range(100))

    def sometimes_empty(batch: Batch, size: int) -> Prepared:
        prepared = prepare(batch, size)
        return prepared._replace(face=prepared.face * (next(batches) % 4 != 1))

    monkeypatch.setattr(training, "prepare", sometimes_empty)
    history = _train(root, tmp_path, toy_train_params(iterations=5, log_every=4))
    assert history["without_face"].tolist() == [0, 0.25]


def test_processes_that_load_change_nothing(root: Path, tmp_path: Path) -> None:
    for workers in (0, 1):
        _train(root, tmp_path / str(workers), toy_train_params(iterations=2, loader_workers=workers))
    for file in (WEIGHTS, "history.csv"):
        assert (tmp_path / "0" / file).read_bytes() == (tmp_path / "1" / file).read_bytes()
