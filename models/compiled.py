"""What compiled kernels on the CPU share: tensors as arrays, checks of indices, threads.

Python threads run the kernels, which release the lock, rather than numba's own pool: that pool cannot be used from two
threads or after a fork, and compiles four times as long. The number of threads is torch's, so a worker process with one
thread stays with one.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor


def arrays(*tensors: Tensor) -> list[NDArray[Any]]:
    """Tensors as contiguous arrays; those that are contiguous share their memory."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def check_indices(triangles: Int[Tensor, "F 3"], vertex_count: int) -> None:
    """Refuse triangles that point outside the vertices: the kernels would read foreign memory."""
    if not len(triangles):
        return
    corners = triangles.numpy()  # whose search is done before torch has woken its threads
    lowest, highest = int(corners.min()), int(corners.max())
    if lowest < 0 or highest >= vertex_count:
        raise ValueError(f"triangles point at vertices {lowest} to {highest}, there are {vertex_count}")


def for_each(work: Callable[[int], None], count: int) -> None:
    """Call work(0) to work(count - 1) on as many threads as torch uses, this one included; the next by who is free."""
    threads = min(torch.get_num_threads(), count)
    jobs = iter(range(count))

    def share() -> None:
        for index in jobs:
            work(index)

    others = [_pool(os.getpid(), threads - 1).submit(share) for _ in range(1, threads)]
    share()
    for other in others:
        other.result()


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process; a fork inherits the object but not the threads, so the process is part of the key."""
    return ThreadPoolExecutor(threads, thread_name_prefix="kernels")
