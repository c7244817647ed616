"""Speed of the training: its parts as ratios to the network's own work, and whether memory stays flat.

    OMP_WAIT_POLICY=passive python -m benchmarks.training --data data

`data` is the folder of a finished run. Sizes are those of a profile of `params.yaml`. The whole step is the one of
`pipelines.training`: prepare the batch, regress, render, six losses, gradient, Adam. Its parts are measured alone, in
turn with the whole within one run, on one batch; ratios are those of medians. The network's own work is its forward and
backward pass with a gradient at hand. The learning rate is zero meanwhile, so that all rounds see the same faces.
Loading is what a step takes longer while the next batch is made beside it, as the training does it.
Memory is measured before, over steps that learn and load a new batch each.

On CUDA the paper's sizes are measured as well, with the recogniser of `data` and a network that begins at random.
"""

import argparse
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import lightning_fabric as lf
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from benchmarks.goals import Line, at_most, print_lines, without_goal
from benchmarks.renderer import measure
from models.camera import Camera
from models.coefficients import Coefficients
from models.losses import identity_loss, total_loss
from models.renderer import full_picture
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
from pipelines.device import best_device
from pipelines.face_model_file import load_face_model
from pipelines.objective import Objective
from pipelines.params import Params
from pipelines.recognizer_file import load_features, load_recognizer
from pipelines.regression_network import build_regressor
from pipelines.training import TrainingInputs
from stages._params import PARAMS_FILE, parse_params

FIRST, LAST = 10, 60  # steps between which memory has to stay flat
CUDA_GOALS = {32: 2.0, 256: 1.5}  # batch size: whole step / bare network with Adam
# Parts of the whole step, in its order.
PARTS = ("prepare", "network", "render and losses", "identity", "optimizer")


def main() -> None:
    """Print goals beside measurements, then where the time goes."""
    options = _options()
    params = profile_params(options.profile)
    inputs = inputs_of(options.data)
    training = Training(inputs, params)
    regressor, train = params.regressor, params.train
    print(
        f"{torch.get_num_threads()} threads, {best_device()}; {regressor.backbone}, {regressor.input_size} px,"
        f" rendered at {train.render_size} px, batch {train.batch_size}, {train.precision}"
    )
    memory = memory_line(training, FIRST, LAST)
    milliseconds = speed(training, options.rounds)
    lines = [*ratio_lines(milliseconds), memory]
    if torch.cuda.is_available():
        lines += paper_lines(inputs, profile_params("paper"), CUDA_GOALS, options.rounds)
    print_lines(lines)
    print_breakdown(milliseconds)


def profile_params(profile: str) -> Params:
    """The parameters of a profile, whichever one `params.yaml` chooses."""
    return parse_params(re.sub("^profile: .*$", f"profile: {profile}", PARAMS_FILE.read_text(), flags=re.MULTILINE))


def inputs_of(data: Path) -> TrainingInputs:
    """Where a finished run has what the training reads."""
    weights = data / "weights"
    return TrainingInputs(data / "face_model.h5", data / "labels", weights / "recognizer", weights / "pretrained")


class Training:
    """A training of the full variant, set up as `pipelines.training` does it, whose step can be taken apart.

    It has no moving average, no longest gradient and no checkpoints, which cost nothing in the default profile.
    """

    def __init__(self, inputs: TrainingInputs, params: Params) -> None:
        train, size = params.train, params.camera.crop_size
        self.params, self.input_size = train, params.regressor.input_size
        self.fabric = lf.Fabric(accelerator="auto", devices=1, precision=train.precision)
        self.fabric.launch()
        torch.manual_seed(train.seed)
        model, recognizer = load_face_model(inputs.face_model), load_recognizer(inputs.recognizer)
        camera = Camera(math.radians(params.camera.field_of_view_degrees), params.camera.distance_mm)
        self.objective = Objective(model, recognizer, camera, size, train, "full").to(self.fabric.device)
        self.without_identity = Objective(model, recognizer, camera, size, train, "no_id").to(self.fabric.device)
        network = build_regressor(params.regressor, model, inputs.pretrained).to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters(), lr=train.learning_rate, fused=True)
        self.network, self.optimizer = self.fabric.setup(network, optimizer)
        keys = crops(inputs.labels / "aligned", "train")["key"].tolist()
        dataset = LabelledCrops(inputs.labels, keys, load_features(inputs.labels / "features"))
        sampler = EndlessSampler(len(dataset), train.seed)
        self.batches = prefetched(endless_batches(dataset, train.batch_size, sampler, workers=train.loader_workers))

    def load(self) -> Batch:
        """The next batch; the one after it is made in the meantime, as the training does it."""
        batch: Batch = self.fabric.to_device(next(self.batches))
        return batch

    def step(self, batch: Batch) -> None:
        """Learn from a batch."""
        image, prepared = self._prepare(batch)
        losses, _ = self.objective(self.network(image), batch, prepared)
        self._backward(total_loss(losses, self.objective.weights))
        self._adam()

    def works(self, batch: Batch) -> dict[str, Callable[[], None]]:
        """The whole step, its parts and what they are compared with, by name; each can be called again and again."""
        image, prepared = self._prepare(batch)
        answer = Coefficients(*(group.detach() for group in self.network(image)))
        directions = [torch.randn_like(group) for group in answer]
        picture = full_picture(self.objective(answer, batch, prepared)[1]).detach()

        def network() -> None:
            groups = self.network(image)
            pairs = zip(groups, directions, strict=True)
            self._backward(torch.stack([(group * direction).sum() for group, direction in pairs]).sum())

        def network_with_adam() -> None:
            network()
            self._adam()

        def render_and_losses() -> None:
            leaves = Coefficients(*(group.detach().requires_grad_() for group in answer))
            losses, _ = self.without_identity(leaves, batch, prepared)
            total_loss(losses, self.without_identity.weights).backward()

        def identity() -> None:
            rendered = picture.detach().requires_grad_()
            identity_loss(batch.features, self.objective.recognizer(rendered)).backward()

        return {
            "prepare": lambda: _drop(self._prepare(batch)),
            "network": network,
            "render and losses": render_and_losses,
            "identity": identity,
            "optimizer": self._adam,
            "network with Adam": network_with_adam,
            "step": lambda: self.step(batch),
            "loading and step": lambda: self.step(self.load()),
        }

    def _prepare(self, batch: Batch) -> tuple[Tensor, Prepared]:
        """What the network sees, and what its rendering is compared with."""
        prepared = prepare(batch, self.params.render_size)
        same = self.input_size == self.params.render_size
        image = prepared.image if same else resized(batch.image, self.input_size)
        return image.contiguous(memory_format=torch.channels_last), prepared

    def _backward(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)

    def _adam(self) -> None:
        """One step along the gradient, whose length the training logs."""
        get_total_norm([parameter.grad for parameter in self.network.parameters() if parameter.grad is not None])
        self.optimizer.step()


def memory_line(training: Training, first: int, last: int) -> Line:
    """Growth of the resident memory from the end of one step to that of another."""
    sizes = {}
    for number in range(1, last + 1):
        training.step(training.load())
        sizes[number] = resident_bytes()
    name = f"memory: step {last} ({sizes[last] / 1e6:.0f} MB) / step {first}"
    return at_most(name, 1.02, sizes[last] / sizes[first])


def resident_bytes() -> int:
    """Memory of this process that is not swapped out."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def speed(training: Training, rounds: int) -> dict[str, float]:
    """Median milliseconds of the whole step, its parts and what they are compared with."""
    for group in training.optimizer.param_groups:
        group["lr"] = 0.0
    return measure({name: finished(work) for name, work in training.works(training.load()).items()}, rounds)


def finished(work: Callable[[], None]) -> Callable[[], None]:
    """The same work, over only when the GPU is done with it."""

    def run() -> None:
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return run


def ratio_lines(milliseconds: Mapping[str, float]) -> list[Line]:
    """The parts of a step against the network's own work and against the whole."""
    step, network = milliseconds["step"], milliseconds["network"]
    loading = max(milliseconds["loading and step"] - step, 0.0)
    return [
        at_most("rendering and losses / network", 0.3, milliseconds["render and losses"] / network),
        at_most("identity loss / step", 1 / 3, milliseconds["identity"] / step),
        at_most("loading / (loading and step)", 0.05, loading / milliseconds["loading and step"]),
        without_goal("step / network with Adam", step / milliseconds["network with Adam"]),
    ]


def paper_lines(inputs: TrainingInputs, params: Params, goals: Mapping[int, float], rounds: int) -> Iterable[Line]:
    """Whole steps at a profile's sizes and several batch sizes, and how long all of its iterations take."""
    regressor = params.regressor.model_copy(update={"initialization": "scratch"})
    for batch_size, goal in goals.items():
        train = params.train.model_copy(update={"batch_size": batch_size})
        sized = params.model_copy(update={"regressor": regressor, "train": train})
        milliseconds = speed(Training(inputs, sized), rounds)
        title = f"{regressor.backbone}, batch {batch_size}"
        yield at_most(
            f"{title}: step / network with Adam", goal, milliseconds["step"] / milliseconds["network with Adam"]
        )
        hours = train.iterations * milliseconds["loading and step"] / 3.6e6
        yield without_goal(f"{title}: hours for {train.iterations} iterations", hours)


def print_breakdown(milliseconds: Mapping[str, float]) -> None:
    """Where the time of a step goes; the parts were measured alone, so that some of it is left over."""
    whole = milliseconds["step"]
    shares = {name: milliseconds[name] for name in PARTS}
    shares["left over"] = whole - sum(shares.values())
    print(f"  step: {whole:.1f} ms; {milliseconds['loading and step']:.1f} ms with a batch made beside it")
    for name, value in shares.items():
        print(f"  {name:<20}{value:9.1f} ms{value / whole:8.1%}")


def _drop(_: object) -> None:
    """Forget a result."""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--profile", default="default", help="whose sizes; the goals are those of the default profile")
    parser.add_argument("--rounds", type=int, default=11)
    return parser.parse_args()


if __name__ == "__main__":
    main()
