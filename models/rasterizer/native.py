"""Optional C++ kernels, called by ctypes: float32 twins of rasterize_rows, interpolate_rows, interpolate_backward.

Numba's kernels stay the default, so that results do not depend on whether a machine has a compiler. These are used when
the environment variable FACET_NATIVE_KERNELS is 1 as `models.rasterizer.cpu` is imported. The first use compiles
`native_kernels.cpp` with $CXX, c++, g++ or clang++ (a few seconds) into $XDG_CACHE_HOME/facet or ~/.cache/facet. Where
that fails, for whatever reason, numba works on and one line of the log says why.

The functions have the arguments of their twins in `cpu_kernels` and see the same triangles; their sums are rounded
differently in the last digits. ctypes releases the interpreter's lock as numba does.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_SOURCE = Path(__file__).with_name("native_kernels.cpp")
# No -ffast-math: it costs accuracy, and comparisons with NaN must stay false. Multiplications and additions are joined
# as numba joins them.
_FLAGS = ("-O3", "-std=c++17", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
_COMPILERS = ("c++", "g++", "clang++")
_PATIENCE_S = 60
_DIGEST_BYTES = hashlib.sha256().digest_size


def rasterize_rows(
    clip: Array, triangles: Array, sub_pixel_bits: int, first_row: int, end_row: int, ids: Array
) -> None:
    """Twin of `cpu_kernels.rasterize_rows`."""
    loaded().facet_rasterize_rows(
        level(),
        _address(clip),
        len(clip),
        _address(triangles, np.int32),
        len(triangles),
        sub_pixel_bits,
        first_row,
        end_row,
        *ids.shape,
        _address(ids, np.int32),
    )


def interpolate_rows(
    attributes: Array, clip: Array, triangles: Array, ids: Array, first_row: int, end_row: int, picture: Array
) -> None:
    """Twin of `cpu_kernels.interpolate_rows`."""
    loaded().facet_interpolate_rows(
        level(),
        _address(attributes),
        attributes.shape[1],
        _address(clip),
        _address(triangles, np.int32),
        _address(ids, np.int32),
        first_row,
        end_row,
        *ids.shape,
        _address(picture),
    )


def interpolate_backward(
    gradient: Array,
    attributes: Array,
    clip: Array,
    triangles: Array,
    ids: Array,
    with_attributes: bool,
    with_clip: bool,
    attributes_gradient: Array,
    clip_gradient: Array,
) -> None:
    """Twin of `cpu_kernels.interpolate_backward`; leaves alone what is not asked for."""
    loaded().facet_interpolate_backward(
        level(),
        _address(gradient),
        _address(attributes),
        attributes.shape[1],
        len(clip),
        _address(clip),
        _address(triangles, np.int32),
        _address(ids, np.int32),
        *ids.shape,
        _address(attributes_gradient) if with_attributes else None,
        _address(clip_gradient) if with_clip else None,
    )


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, built if need be; None where that is impossible. Found once per process."""
    return _load()


@cache
def level() -> int:
    """Instruction set of this processor: 0 what all have, 1 AVX2, 2 AVX-512."""
    found: int = loaded().facet_level()
    return found


def loaded() -> ctypes.CDLL:
    """The compiled kernels; RuntimeError where there are none."""
    kernels = library()
    if kernels is None:
        raise RuntimeError("no native kernels: is there a C++ compiler and a writable ~/.cache?")
    return kernels


def _load() -> ctypes.CDLL | None:
    try:
        path = _cache_folder() / f"native_kernels-{_key()}.so"
        if not _is_complete(path):
            _build(path)
        return _declare(ctypes.CDLL(str(path)))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        logging.getLogger(__name__).info("no native kernels, numba is used: %s", error)
        return None


def _key() -> str:
    """Changes with everything that changes the library."""
    parts = (_SOURCE.read_bytes(), " ".join(_FLAGS).encode(), platform.machine().encode(), platform.system().encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _cache_folder() -> Path:
    """The user's own folder for libraries; refused when others may write there, as its content is run."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = (given if given.is_absolute() else Path.home() / ".cache") / "facet"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise RuntimeError(f"{folder} can be written by others")
    return folder


def _build(path: Path) -> None:
    """Compile the library; it appears under its name when it is complete, so processes may race and be killed."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        command = [*_compiler(), *_FLAGS, "-o", str(unfinished), str(_SOURCE)]
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE_S)
        content = unfinished.read_bytes()
        unfinished.write_bytes(content + hashlib.sha256(content).digest())
        unfinished.replace(path)


def _compiler() -> list[str]:
    """The command that compiles C++."""
    if os.environ.get("CXX"):
        return shlex.split(os.environ["CXX"])
    for name in _COMPILERS:
        if found := shutil.which(name):
            return [found]
    raise RuntimeError("found no C++ compiler")


def _is_complete(path: Path) -> bool:
    """Whether the file ends with the digest of what precedes it; loading half a library would end the process."""
    if not path.is_file():
        return False
    content = path.read_bytes()
    return hashlib.sha256(content[:-_DIGEST_BYTES]).digest() == content[-_DIGEST_BYTES:]


def _declare(kernels: ctypes.CDLL) -> ctypes.CDLL:
    """Tell ctypes the types of the arguments."""
    pointer, long, int32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    functions: dict[str, list[Any]] = {
        "facet_level": [],
        "facet_rasterize_rows": [int32, pointer, long, pointer, long, *[int32] * 5, pointer],
        "facet_interpolate_rows": [int32, pointer, int32, *[pointer] * 3, *[int32] * 4, pointer],
        "facet_interpolate_backward": [
            *(int32, pointer, pointer, int32, long),
            *([pointer] * 3),
            *(int32, int32, pointer, pointer),
        ],
    }
    for name, arguments in functions.items():
        function = getattr(kernels, name)
        function.argtypes = arguments
        function.restype = ctypes.c_int32 if name == "facet_level" else None
    return kernels


def _address(array: Array, dtype: type = np.float32) -> int:
    """Where a kernel finds the numbers; anything but a contiguous array of the type would be misread."""
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"expected a contiguous array of {np.dtype(dtype)}, got {array.dtype}, {array.strides=}")
    address: int = array.ctypes.data
    return address
