"""What every stage shares: flags, help, and an end when DVC ends."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_STAGE = """
from pathlib import Path
import time
from stages._stage import PathFlag, TextFlag, run_stage

def stage(*, face_model: PathFlag, name: TextFlag) -> None:
    '''Does something.'''
    print(repr(face_model), name, flush=True)
    time.sleep(30 if name == "slow" else 0)

run_stage(stage)
"""


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", _STAGE, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_flags_are_the_keyword_arguments() -> None:
    done = _run("--face-model", "data/face.h5", "--name", "ok")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "PosixPath('data/face.h5') ok"


@pytest.mark.parametrize(
    "arguments", [("--name", "x"), ("--face-model", "a", "--name", "x", "--nmae", "y"), ("a", "b")]
)
def test_wrong_flags_end_the_stage(arguments: tuple[str, ...]) -> None:
    assert _run(*arguments).returncode == 2


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal exists on Linux only")
def test_a_stage_ends_with_its_parent() -> None:
    parent_program = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {_STAGE!r}, '--face-model', 'a', '--name', 'slow'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = Path("/proc") / parent.stdout.readline().strip()
    assert "slow" in parent.stdout.readline()  # the child is inside its stage
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(child)


def _alive(process: Path) -> bool:
    """Whether a process runs; a dead one that nobody has waited for is a zombie, Z."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_misspelt_parameter_ends_a_real_stage_before_anything_else(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text().replace("\ntrain:\n", "\ntrain:\n  learning_rat: 1.0\n", 1)
    (tmp_path / "params.yaml").write_text(text)
    flags = [f"--{name}={tmp_path}/missing" for name in ("face-model", "labels", "recognizer", "pretrained", "output")]
    command = [sys.executable, "-m", "stages.train", "--variant=full", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("params.yaml: train.learning_rat: Extra inputs are not permitted"), done.stderr
