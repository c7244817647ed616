"""Reads arrays from pickles of strangers without running what else the pickles may contain."""

import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


def unpickled_arrays(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle (.pkl), its arrays as numpy arrays, of chumpy's arrays their numbers.

    Sparse matrices and torch tensors come as empty stand-ins. Raises ValueError that names any other class or function
    that the pickle asks for, and for a file that holds no dictionary or is damaged; nothing of it is imported or run.
    """
    with path.open("rb") as file:
        return _dictionary(file, path)


def unpickled_npy(path: Path) -> dict[str, Any]:
    """The dictionary that `numpy.save` pickled into a .npy file; otherwise as `unpickled_arrays`."""
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read_header[version](file)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{path}: not a .npy file of version 1 or 2: {error}") from error
        if shape != () or not dtype.hasobject:
            raise ValueError(f"{path}: an array {shape} of {dtype}, expected a single pickled dictionary")
        return _dictionary(file, path)


def _dictionary(file: IO[bytes], path: Path) -> dict[str, Any]:
    try:
        content = _plain(_Unpickler(file, encoding="latin1").load())  # latin1: the bytes of Python 2's strings
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a pickle of arrays: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a pickled {type(content).__name__}, expected a dictionary")
    return {str(name): _plain(value) for name, value in content.items()}


class _Array:
    """Stands for numpy.ndarray, whose own constructor would take raw memory for Python objects."""

    x: Any = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: tuple[int, tuple[int, ...], "_Type", bool, bytes | str | list[Any]]) -> None:
        _, shape, kind, is_fortran, data = state
        if isinstance(data, list):
            (self.x,) = data  # of objects, only a single one
        else:
            self.x = _from_bytes(data, kind, shape, is_fortran)


def _from_bytes(data: bytes | str, kind: "_Type", shape: tuple[int, ...], is_fortran: bool) -> NDArray[Any]:
    memory = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(memory, np.dtype(kind.order + kind.code)).reshape(shape, order="F" if is_fortran else "C")


class _Type:
    """Stands for numpy.dtype, whose own state could make it lie about the objects in an array."""

    order = "="

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Chumpy:
    """Stands for chumpy's array, which FLAME of 2020 contains; its numbers are `x`."""

    x: Any = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.x = state["x"]


class _Unused:
    """Stands for what is in the pickles and no reader needs; keeps nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _reconstructor(kind: Any, base: Any, state: Any) -> Any:
    """An empty object of a class, as protocols 0 and 1 start one."""
    return kind()


def _encode(text: str, encoding: str) -> bytes:
    """Bytes, as protocols 0 to 2 write them; latin1 whatever is asked for, as other codecs could unpack bombs."""
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Unused,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("chumpy.ch", "Ch"): _Chumpy,
    **{(f"scipy.sparse.{kind}", f"{kind}_matrix"): _Unused for kind in ("csc", "csr", "coo")},
    **{(f"scipy.sparse._{kind}", f"{kind}_matrix"): _Unused for kind in ("csc", "csr", "coo")},
    ("torch._utils", "_rebuild_tensor_v2"): _Unused,
    ("torch.storage", "_load_from_bytes"): _Unused,
    ("collections", "OrderedDict"): _Unused,
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): _reconstructor,
    ("copyreg", "_reconstructor"): _reconstructor,
    **{("__builtin__", name): _Unused for name in ("object", "set")},
    **{("builtins", name): _Unused for name in ("object", "set")},
}


class _Unpickler(pickle.Unpickler):
    """Knows the stand-ins above and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name in the pickle; UnpicklingError for a name that no array needs."""
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which was not run")
        return _STAND_INS[module, name]


def _plain(value: Any) -> Any:
    """The numbers or the object behind a stand-in."""
    inner = value.x if isinstance(value, _Chumpy) else value
    return inner.x if isinstance(inner, _Array) else inner
