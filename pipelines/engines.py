"""Where many independent tasks are computed: in this process, in several processes, or on a Dask cluster."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

from pipelines.params import LabellingParams
from pipelines.workers import ordered_map

Task = TypeVar("Task")
Result = TypeVar("Result")

_ROOT = Path(__file__).parents[1]
IN_THIS_PROCESS = LabellingParams(engine="local", scheduler="", workers=1)


def computed(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, engine: LabellingParams, one_thread: bool
) -> Iterator[Result]:
    """Results of `function`, each as soon as it is there; on Dask in any order, and again when a worker was killed.

    Work for `one_thread` runs in `engine.workers` local processes. A network uses all threads of one process instead;
    a Dask worker takes as many for it as this process would, because sums depend on their number.
    """
    if not tasks:
        return
    if engine.engine == "dask":
        yield from _on_dask(function, tasks, engine=engine, threads=1 if one_thread else torch.get_num_threads())
    elif one_thread:
        yield from ordered_map(function, tasks, workers=engine.workers)
    else:
        yield from map(function, tasks)


class _OnWorker(NamedTuple):
    """Calls a function on a Dask worker, on a number of threads."""

    function: Callable[[Any], Any]
    threads: int

    def __call__(self, task: Any) -> Any:
        if _code_now() != _code_at_first():
            raise RuntimeError(f"the code in {_ROOT} has changed since this Dask worker loaded it: restart the workers")
        torch.set_num_threads(self.threads)
        return self.function(task)


def _code_now() -> tuple[tuple[str, int], ...]:
    """Every code file with its time of change."""
    files = [file for floor in ("pipelines", "models") for file in (_ROOT / floor).rglob("*.py")]
    return tuple(sorted((str(file), file.stat().st_mtime_ns) for file in files))


@cache
def _code_at_first() -> tuple[tuple[str, int], ...]:
    """The code when this worker came to its first task; what it makes is remembered as made by the present code."""
    return _code_now()


def _on_dask(
    function: Callable[[Task], Result], tasks: Sequence[Task], *, engine: LabellingParams, threads: int
) -> Iterator[Result]:
    distributed = _distributed()
    with ExitStack() as stack:
        client = stack.enter_context(_client(distributed, engine, stack))
        futures = client.map(_OnWorker(function, threads), tasks, pure=False)
        for future in distributed.as_completed(futures):
            yield future.result()


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"labelling.engine: dask needs Dask, and there is no module {error.name!r} here: "
            "pip install -e '.[dask]', or set labelling.engine: local"
        ) from error


def _client(distributed: Any, engine: LabellingParams, stack: ExitStack) -> Any:
    """A client of the scheduler, or of a cluster of processes on this machine that ends with `stack`."""
    if engine.scheduler:
        try:
            return distributed.Client(engine.scheduler)
        except (OSError, ValueError) as error:
            raise ConnectionError(
                f"labelling.scheduler: no Dask scheduler answers at {engine.scheduler!r} ({error}): "
                "start one with `python -m dask scheduler`, or leave it empty for processes on this machine"
            ) from error
    starting = {
        "distributed.worker.multiprocessing-method": "forkserver",  # half the time of dask's "spawn"
        "distributed.nanny.pre-spawn-environ": {},  # would leave OMP_NUM_THREADS=1 in this process's environment
    }
    stack.enter_context(importlib.import_module("dask").config.set(starting))
    cluster = distributed.LocalCluster(
        n_workers=engine.workers,
        threads_per_worker=1,
        host="127.0.0.1",
        memory_limit=0,  # the share of a worker would be too small for a network; the system's own limit stays
        dashboard_address=None,
        worker_dashboard_address=None,
    )
    return distributed.Client(stack.enter_context(cluster))
