"""One function over many things in several processes, results in order."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

Task = TypeVar("Task")
Result = TypeVar("Result")


def ordered_map(function: Callable[[Task], Result], tasks: Sequence[Task], *, workers: int) -> Iterator[Result]:
    """Results of `function` in the order of `tasks`; in this process when one worker or one task is enough.

    The processes are started afresh (a fork of a process with threads may hang), so `function` must be importable. Each
    computes on one thread, so that sums do not depend on the number of cores.
    """
    if workers == 1 or len(tasks) < 2:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield from map(function, tasks)
        finally:
            torch.set_num_threads(threads)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])  # the heavy imports happen once, not once a worker
    with context.Pool(min(workers, len(tasks)), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.imap(function, tasks)
