"""The C++ kernels against numba's, and their life in the cache folder of the user."""

import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.rasterizer import cpu, cpu_kernels, native

KERNEL = "from models.rasterizer import cpu; import torch; print(cpu._kernels(torch.float32).__name__)"


def soup(seed: int, size: tuple[int, int], spread: float) -> tuple[Tensor, Tensor]:
    """Triangles of any size without order: sharing corners, on pixel centres, equally deep, behind the camera, nowhere.

    `spread` is the size of most triangles in px.
    """
    generator = torch.Generator().manual_seed(seed)
    extent = torch.tensor([float(size[1]), float(size[0])])
    centres = (torch.rand(3000, 1, 2, generator=generator) * 1.4 - 0.2) * extent
    corners = centres + torch.randn(3000, 3, 2, generator=generator) * spread
    corners[:1000] = corners[:1000].mul(2).round() / 2  # on centres and borders of pixels: the top-left rule decides
    corners[2900:] = (torch.rand(100, 3, 2, generator=generator) * 3 - 1) * extent
    depths = torch.rand(3000, 3, 1, generator=generator) * 0.9
    depths[:500] = 0.5  # equally deep: the order decides
    w = torch.rand(3000, 3, 1, generator=generator) + 0.5
    clip = torch.cat([(corners / extent * 2 - 1) * w, depths * w, w], dim=-1).flatten(0, 1)
    for place, value in enumerate([float("nan"), float("inf"), -1.0, 0.0, 1e-30, -1e30]):
        clip[5000 + 4 * place, place % 4], clip[6000 + place, 3] = value, value
    triangles = torch.randperm(9000, generator=generator)[:4500].view(-1, 3)  # large ones between
    triangles = triangles if spread > 100 else triangles[:20]
    return clip[None], torch.cat([torch.arange(9000).view(-1, 3), triangles, torch.arange(900).view(-1, 3)])


@pytest.mark.parametrize("spread", [0.6, 4.0, 300.0])
@pytest.mark.parametrize("size", [(64, 64), (37, 61), (1, 33), (33, 1), (301, 1201)])
def test_ids_are_those_of_numba(kernels: str, size: tuple[int, int], spread: float) -> None:
    clip, triangles = soup(1, size, spread)
    ids = cpu.rasterize(clip, triangles, size)
    with cpu.native_kernels(False):
        expected = cpu.rasterize(clip, triangles, size)
    assert (expected >= 0).any()
    # Without joined multiplications and additions a few vertices fall on the neighbouring 1/256 px.
    allowed = 2 + 1e-3 * ids.numel() if kernels == "native" else 0
    assert (ids != expected).sum() <= allowed


@pytest.mark.parametrize("bits", [4, 8, 10])
def test_ids_are_those_of_numba_for_other_vertex_grids(kernels: str, bits: int) -> None:
    clip, triangles = soup(2, (90, 70), 2.0)
    ids = cpu.rasterize(clip, triangles, (90, 70), bits)
    with cpu.native_kernels(False):
        expected = cpu.rasterize(clip, triangles, (90, 70), bits)
    assert (ids != expected).float().mean() <= (1e-3 if kernels == "native" else 0)


def gradients(values: Tensor, clip: Tensor, triangles: Tensor, ids: Tensor, change: Tensor) -> list[Tensor]:
    """Picture and both gradients, float64."""
    values, clip = values.clone().requires_grad_(), clip.clone().requires_grad_()
    picture = cpu.interpolate(values, clip, triangles, ids)
    picture.backward(change.to(picture.dtype))
    assert values.grad is not None and clip.grad is not None
    return [tensor.detach().double() for tensor in (picture, values.grad, clip.grad)]


@pytest.mark.parametrize("channels", [1, 3, 5, 7])
def test_gradients_are_as_good_as_numba_s(kernels: str, channels: int) -> None:
    clip, triangles = soup(3, (61, 83), 4.0)
    clip[~clip.isfinite()] = 1.0
    clip[..., :2] += 0.0137 * clip[..., 3:]  # no centres on edges, where rounding decides whether a weight is clamped
    ids = cpu.rasterize(clip, triangles, (61, 83))
    generator = torch.Generator().manual_seed(4)
    values = torch.rand(1, clip.shape[1], channels, generator=generator)
    change = torch.randn(*ids.shape, channels, generator=generator)
    found = gradients(values, clip, triangles, ids, change)
    with cpu.native_kernels(False):
        numba = gradients(values, clip, triangles, ids, change)
    exact = gradients(values.double(), clip.double(), triangles, ids, change)
    for ours, theirs, truth in zip(found, numba, exact, strict=True):
        # Both round to float32, in another order; needles multiply that by their length over their width.
        assert (ours - truth).norm() <= 2 * (theirs - truth).norm() + 1e-6 * truth.norm()
        assert (ours - theirs).norm() <= 1e-3 * truth.norm()


def test_float64_stays_with_numba(native_library: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(native, "rasterize_rows")
    clip, triangles = soup(5, (9, 9), 4.0)
    with cpu.native_kernels(True):
        assert (cpu.rasterize(clip.double(), triangles, (9, 9)) >= 0).any()
        with pytest.raises(AttributeError, match="rasterize_rows"):
            cpu.rasterize(clip, triangles, (9, 9))


def test_arrays_that_would_be_misread_are_refused(native_library: None) -> None:
    numbers = torch.rand(6, 4).numpy()
    for wrong in (numbers.astype("float64"), numbers[::2]):
        with pytest.raises(ValueError, match="expected a contiguous array of"):
            native._address(wrong)


# --- compiling and the cache


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for libraries, not made yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path / "cache" / "facet"


def command(folder: Path, script: str) -> str:
    """A program that stands in for a compiler."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def calls(native_library: None, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sets a compiler that copies what the real one made, and adds a line to this file each time."""
    compiled, calls = native.library(), tmp_path / "calls"
    assert compiled is not None
    shutil.copy(compiled._name, tmp_path / "made.so")
    copy = f'while [ "$1" != -o ]; do shift; done; cp {tmp_path}/made.so "$2"; echo >> {calls}'
    monkeypatch.setenv("CXX", command(tmp_path, copy))
    return calls


def test_library_is_compiled_once_into_a_private_folder(calls: Path, cache: Path) -> None:
    assert native._load() is not None and native._load() is not None
    assert calls.read_text() == "\n"
    assert cache.stat().st_mode & 0o777 == 0o700
    assert [path.suffix for path in cache.iterdir()] == [".so"]


def test_changed_source_is_compiled_anew(calls: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    native._load()
    source = tmp_path / "changed.cpp"
    source.write_bytes(native._SOURCE.read_bytes() + b"//")
    monkeypatch.setattr(native, "_SOURCE", source)
    native._load()
    assert calls.read_text() == "\n\n"


@pytest.mark.parametrize("keep", [0, 10, 5000, -1])
def test_truncated_library_is_rebuilt(calls: Path, cache: Path, keep: int) -> None:
    native._load()
    (library,) = cache.iterdir()
    content = library.read_bytes()
    library.unlink()  # the old file is still mapped
    library.write_bytes(content[:keep])
    assert native._load() is not None
    assert library.read_bytes() == content


def test_builds_may_race(calls: Path, cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: native._load(), range(4)))
    assert None not in loaded and len(list(cache.iterdir())) == 1


@pytest.mark.parametrize(
    "script", ["exit 1", "exit 0", 'while [ "$1" != -o ]; do shift; done; echo no > "$2"', "sleep 5"]
)
def test_failing_compiler_leaves_numba_and_one_line(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, script: str
) -> None:
    monkeypatch.setenv("CXX", command(tmp_path, script))
    monkeypatch.setattr(native, "_PATIENCE_S", 0.2)
    with caplog.at_level(logging.INFO):
        assert native._load() is None
    assert len(caplog.records) == 1 and "numba is used" in caplog.text


def test_absent_compiler_leaves_numba(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    assert native._load() is None
    monkeypatch.setenv("CXX", str(tmp_path / "missing"))
    assert native._load() is None
    monkeypatch.setattr(native, "library", native._load)
    with pytest.raises(RuntimeError, match="is there a C"), cpu.native_kernels(True):
        pass
    monkeypatch.setattr(cpu, "_native_wanted", True)  # as the environment variable does
    assert cpu._kernels(torch.float32) is cpu_kernels


def test_folder_that_others_can_write_is_refused(calls: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    assert native._load() is None and not calls.exists()


@pytest.mark.parametrize(("value", "expected"), [("1", "native"), ("0", "cpu_kernels"), (None, "cpu_kernels")])
def test_environment_variable_selects_the_kernels(calls: Path, value: str | None, expected: str) -> None:
    environment = {name: text for name, text in os.environ.items() if name != "FACET_NATIVE_KERNELS"}
    if value is not None:
        environment["FACET_NATIVE_KERNELS"] = value
    found = subprocess.run([sys.executable, "-c", KERNEL], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == f"models.rasterizer.{expected}"
    assert calls.exists() == (expected == "native")
