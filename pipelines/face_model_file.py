"""One HDF5 format for every face model, whatever its source."""

from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np

from models.face_model import FaceModel, FaceModelArrays, Sampling

FORMAT_VERSION = 1
_ARRAYS = [field.name for field in fields(FaceModelArrays) if field.name not in ("source", "sampling")]


def save_face_model(path: Path, arrays: FaceModelArrays) -> None:
    """Write a face model; the same arrays give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", track_order=True) as file:
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["source"] = arrays.source
        for name in _ARRAYS:
            file.create_dataset(name, data=getattr(arrays, name), track_times=False)
        sampling = file.create_group("sampling")
        sampling.attrs["action_names"] = list(arrays.sampling.action_names)
        for name in ("action_coefficients", "albedo_bank", "hair_rgb"):
            sampling.create_dataset(name, data=getattr(arrays.sampling, name), track_times=False)


def load_face_model_arrays(path: Path) -> FaceModelArrays:
    """Read what `save_face_model` wrote; ValueError for another format."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no face model; run the stage face_model first")
    with h5py.File(path, "r") as file:
        version = file.attrs.get("format_version")
        if version != FORMAT_VERSION:
            raise ValueError(
                f"{path}: expected face model format {FORMAT_VERSION}, got {version}; run face_model again"
            )
        sampling = Sampling(
            action_names=tuple(str(name) for name in file["sampling"].attrs["action_names"]),
            **{name: np.asarray(file["sampling"][name]) for name in ("action_coefficients", "albedo_bank", "hair_rgb")},
        )
        arrays = {name: np.asarray(file[name]) for name in _ARRAYS}
        return FaceModelArrays(source=str(file.attrs["source"]), sampling=sampling, **arrays)


def load_face_model(path: Path) -> FaceModel:
    """Read a face model as buffers ready for rendering and training."""
    return FaceModel(load_face_model_arrays(path))
