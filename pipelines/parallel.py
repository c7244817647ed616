"""`dvc repro` with several stages at a time.

DVC runs its stages one after the other, but lets go of its lock while one runs. So every stage that is not up to date
gets a DVC of its own (`dvc --wait-for-lock repro --single-item STAGE`) as soon as the stages before it have ended. What
a stage prints appears when it ends. With GPUs, the stages that run at the same time see one each.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

DVC = (sys.executable, "-m", "dvc")


def repro(root: Path, jobs: int, gpus: list[str]) -> list[str]:
    """Run every stage of the repository `root` that is not up to date; returns those that failed."""
    if gpus and jobs > len(gpus):
        raise ValueError(f"expected a GPU for each of {jobs} jobs, got {len(gpus)}: {' '.join(gpus)}")
    after = dependencies(_output([*DVC, "dag", "--dot"], root))
    changed = json.loads(_output([*DVC, "status", "--json"], root))
    waiting = outdated(after, set(changed))
    print(f"{len(waiting)} of {len(after)} stages to run, {jobs} at a time", flush=True)
    return run_in_order(waiting, jobs, lambda stage, slot: run_stage(stage, root, gpus[slot] if gpus else None))


def dependencies(dot: str) -> dict[str, set[str]]:
    """The stages in the text of `dvc dag --dot`, each with those that come directly before it."""
    after: dict[str, set[str]] = {}
    for first, second in re.findall(r'^"([^"]+)"(?: -> "([^"]+)")?;$', dot, flags=re.MULTILINE):
        after.setdefault(first, set())
        if second:
            after.setdefault(second, set()).add(first)
    return after


def outdated(after: Mapping[str, set[str]], changed: set[str]) -> dict[str, set[str]]:
    """The changed stages and all that follow from them, each with those of them that come directly before it."""
    stale: set[str] = set()
    reached = changed & after.keys()
    while reached:
        stale |= reached
        reached = {stage for stage, before in after.items() if before & stale} - stale
    return {stage: before & stale for stage, before in after.items() if stage in stale}


def run_in_order(waiting: Mapping[str, set[str]], jobs: int, run: Callable[[str, int], bool]) -> list[str]:
    """Run each stage once those before it have succeeded, up to `jobs` at a time; returns those that failed.

    `run` gets a stage and the number of its slot, 0 to `jobs` - 1, and says whether it succeeded. After a failure
    nothing new is started, and what runs is waited for.
    """
    free, done, failed = list(range(jobs)), set[str](), list[str]()
    ahead, running = dict(waiting), dict[Future[bool], tuple[str, int]]()
    with ThreadPoolExecutor(jobs) as pool:
        while True:
            ready = [stage for stage, before in ahead.items() if before <= done and not failed]
            for stage in ready[: len(free)]:
                del ahead[stage]
                slot = free.pop(0)
                running[pool.submit(run, stage, slot)] = (stage, slot)
            if not running:
                return failed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                stage, slot = running.pop(future)
                free.append(slot)
                if future.result():
                    done.add(stage)
                else:
                    failed.append(stage)


def run_stage(stage: str, root: Path, gpu: str | None) -> bool:
    """Run one stage with a DVC of its own and print what it said; whether it succeeded."""
    environment = os.environ | ({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})
    print(f"{stage}: started", flush=True)
    done = subprocess.run(
        [*DVC, "--wait-for-lock", "repro", "--single-item", stage],
        cwd=root,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    print(f"{done.stdout.rstrip()}\n{stage}: {'failed' if done.returncode else 'ended'}", flush=True)
    return done.returncode == 0


def _output(command: list[str], root: Path) -> str:
    return subprocess.run(command, cwd=root, check=True, text=True, stdout=subprocess.PIPE).stdout
