"""Several stages at a time: the order, what is started at all, failures, and DVC itself."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from pipelines.parallel import dependencies, outdated, repro, run_in_order

DIAMOND = {"top": set(), "left": {"top"}, "right": {"top"}, "bottom": {"left", "right"}}


def test_the_graph_of_dvc_is_read() -> None:
    dot = 'strict digraph {\n"top";\n"train@a";\n"alone";\n"top" -> "train@a";\n}\n'
    assert dependencies(dot) == {"top": set(), "train@a": {"top"}, "alone": set()}


def test_what_follows_from_a_change_is_outdated_and_nothing_else() -> None:
    assert outdated(DIAMOND, {"left"}) == {"left": set(), "bottom": {"left"}}
    assert outdated(DIAMOND, {"top"}) == DIAMOND
    assert outdated(DIAMOND, set()) == {}


def test_independent_stages_run_at_the_same_time_and_others_in_order() -> None:
    both = threading.Barrier(2, timeout=20)
    slots: dict[str, int] = {}
    ended: set[str] = set()

    def run(stage: str, slot: int) -> bool:
        assert DIAMOND[stage] <= ended
        slots[stage] = slot
        if stage in ("left", "right"):
            both.wait()
        ended.add(stage)
        return True

    assert run_in_order(DIAMOND, 2, run) == []
    assert ended == set(DIAMOND)
    assert {slots["left"], slots["right"]} == {0, 1}


def test_one_job_runs_one_stage_at_a_time() -> None:
    alone = threading.Lock()
    stages: list[str] = []

    def run(stage: str, slot: int) -> bool:
        assert slot == 0 and alone.acquire(blocking=False)
        stages.append(stage)
        alone.release()
        return True

    run_in_order(DIAMOND, 1, run)
    assert stages == ["top", "left", "right", "bottom"]


def test_after_a_failure_nothing_new_is_started() -> None:
    stages: list[str] = []

    def run(stage: str, slot: int) -> bool:
        stages.append(stage)
        return stage != "left"

    assert run_in_order(DIAMOND, 1, run) == ["left"]
    assert stages == ["top", "left"]


def test_every_job_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a GPU for each of 3 jobs, got 2: 0 1"):
        repro(tmp_path, 3, ["0", "1"])


_MEET = """
import os, pathlib, sys, time
name, other = sys.argv[1:]
pathlib.Path(f"here-{name}").touch()
end = time.monotonic() + 60
while not pathlib.Path(f"here-{other}").exists():
    if time.monotonic() > end:
        sys.exit(f"{name} is alone")
    time.sleep(0.05)
pathlib.Path(f"{name}.txt").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
"""


def test_dvc_runs_two_stages_that_wait_for_each_other(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "meet.py").write_text(_MEET)
    pair = {"a": {"other": "b"}, "b": {"other": "a"}}
    meet = f"{sys.executable} meet.py ${{key}} ${{item.other}}"
    graph = {
        "first": {"cmd": "echo 1 > first.txt", "outs": ["first.txt"]},
        "pair": {"foreach": pair, "do": {"cmd": meet, "deps": ["first.txt"], "outs": ["${key}.txt"]}},
        "last": {"cmd": "cat a.txt b.txt > last.txt", "deps": ["a.txt", "b.txt"], "outs": ["last.txt"]},
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": graph}))
    assert repro(tmp_path, 2, ["0", "7"]) == []
    assert {(tmp_path / name).read_text() for name in ("a.txt", "b.txt")} == {"0", "7"}
    status = [sys.executable, "-m", "dvc", "status", "--quiet"]
    assert subprocess.run(status, cwd=tmp_path).returncode == 0
