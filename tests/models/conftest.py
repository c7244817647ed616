"""Runs a test with every set of compiled kernels that this machine can run."""

from collections.abc import Iterator

import pytest

from models.rasterizer import cpu, native

LEVELS = {"numba": None, "native": 0, "native AVX2": 1, "native AVX-512": 2}


@pytest.fixture(scope="session")
def native_library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The C++ kernels, compiled from the present source; skips the test where there is no compiler."""
    native.library.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        if native.library() is None:
            pytest.skip("needs a C++ compiler")
    yield
    native.library.cache_clear()


@pytest.fixture(params=LEVELS)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Selects a set of kernels and gives its name."""
    level = LEVELS[request.param]
    if level is not None:
        request.getfixturevalue("native_library")
        if native.level() < level:
            pytest.skip("needs another processor")
        monkeypatch.setattr(native, "level", lambda: level)
    with cpu.native_kernels(level is not None):
        yield request.param
