"""Basel Face Model 2009 with the expressions of Guo et al., in the crop and the file of Deep3DFaceRecon."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from models.landmarks import LANDMARK_COUNT
from models.light import GAMMA
from pipelines.morphable_models.assembly import Albedo, ReadModel, mouth_patch
from pipelines.morphable_models.files import required_file
from pipelines.topology import Indices, Points, Triangles

MODEL_FILE = "BFM_model_front.mat"
ORIGINAL_FILE = "01_MorphableModel.mat"
_CONVERSION = "transferBFM09 of github.com/sicxu/Deep3DFaceRecon_pytorch"
_HOW_TO_OBTAIN = (
    f"register with the University of Basel for {ORIGINAL_FILE} (academic use only) and let {_CONVERSION} write"
    f" {MODEL_FILE} from it"
)
_KEYS = ("meanshape", "meantex", "idBase", "exBase", "texBase", "tri", "keypoints")
_MM_PER_UNIT = 100.0  # the file counts in decimetres
_WHITE = 255.0
_NOT_MATLAB_5 = (IndexError, MatReadError, NotImplementedError, OSError, ValueError, zlib.error)


def read_bfm2009(root: Path) -> tuple[ReadModel, Albedo]:
    """BFM 2009 as Deep3DFaceRecon cropped it (35 709 vertices; 80, 64 and 80 modes), from its file in `root`.

    Geometry in mm, albedo linear RGB. The specular albedo is zero: the model has none, the caller borrows a mean.

    Raises FileNotFoundError that tells how to obtain the file, ValueError for the unconverted model and for another
    layout.
    """
    if (root / ORIGINAL_FILE).is_file() and not (root / MODEL_FILE).is_file():
        raise ValueError(
            f"bfm2009: found {ORIGINAL_FILE} in face_model.root ({root}), expected {MODEL_FILE}: the original must be"
            f" converted first, with {_CONVERSION}"
        )
    path = required_file(root, [MODEL_FILE], "bfm2009", _HOW_TO_OBTAIN)
    arrays = _arrays(path)
    mean = _MM_PER_UNIT * arrays["meanshape"].reshape(-1, 3)
    triangles = _outward(mean, _from_zero(path, arrays, "tri").astype(np.int32))
    landmarks = _from_zero(path, arrays, "keypoints").ravel()
    read = ReadModel(
        source=f"bfm2009 ({path.name})",
        mean_shape=mean,
        shape_basis=_MM_PER_UNIT * _modes(arrays["idBase"]),
        expression_basis=_MM_PER_UNIT * _modes(arrays["exBase"]),
        triangles=triangles,
        landmark_vertices=landmarks,
        mouth_triangles=mouth_patch("bfm2009", mean, triangles, landmarks),
    )
    return read, _linear_albedo(path, arrays["meantex"].reshape(-1, 3), _modes(arrays["texBase"]))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of the file by key; ValueError for another format, missing keys and wrong shapes."""
    try:
        found = loadmat(path, variable_names=_KEYS)
        missing = [key for key in _KEYS if key not in found]
        names = [name for name, *_ in whosmat(path)] if missing else []
    except _NOT_MATLAB_5 as error:
        raise ValueError(f"{path}: expected a MATLAB 5 file, as scipy.io.savemat writes it: {error}") from error
    if missing:
        raise ValueError(
            f"{path}: no {', '.join(missing)}; expected {', '.join(_KEYS)}, found {', '.join(names) or 'nothing'};"
            f" was it written by {_CONVERSION}?"
        )
    coordinates = found["meanshape"].size // 3 * 3
    expected: dict[str, tuple[int | str, int | str]] = {
        "meanshape": (1, coordinates),
        "meantex": (1, coordinates),
        "idBase": (coordinates, "K"),
        "exBase": (coordinates, "K"),
        "texBase": (coordinates, "K"),
        "tri": ("F", 3),
        "keypoints": (1, LANDMARK_COUNT),
    }
    for key, shape in expected.items():
        array = found[key]
        fits = array.ndim == 2 and all(isinstance(b, str) or a == b for a, b in zip(array.shape, shape, strict=True))
        if not fits or array.dtype.kind not in "iuf" or not array.size:
            wanted = f"({shape[0]}, {shape[1]})"
            raise ValueError(
                f"{path}: {key} is {array.dtype} of shape {array.shape}, expected numbers of shape {wanted}"
            )
    return {key: found[key] for key in _KEYS}


def _from_zero(path: Path, arrays: dict[str, NDArray[Any]], key: str) -> Indices:
    """Vertex numbers that the file counts from one; ValueError for numbers of no vertex."""
    indices = arrays[key].astype(np.int64) - 1
    vertex_count = arrays["meanshape"].size // 3
    if indices.min() < 0 or indices.max() >= vertex_count:
        raise ValueError(
            f"{path}: {key} holds {indices.min() + 1} to {indices.max() + 1}, expected vertex numbers from 1 to"
            f" {vertex_count}"
        )
    return indices


def _modes(basis: NDArray[Any]) -> NDArray[np.float32]:
    """A basis (3N, K) with the coordinates of each vertex side by side, as (K, N, 3)."""
    return np.ascontiguousarray(basis.T, np.float32).reshape(basis.shape[1], -1, 3)


def _outward(vertices: Points, triangles: Triangles) -> Triangles:
    """The triangles (F, 3) counter-clockwise from outside: those of a face look towards +z on the whole."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    towards_viewer = np.cross(b - a, c - a)[:, 2].sum() > 0
    return triangles if towards_viewer else np.ascontiguousarray(triangles[:, ::-1])


def _linear_albedo(path: Path, mean: Points, modes: NDArray[np.float32]) -> Albedo:
    """Linear diffuse albedo from a mean texture (N, 3) and its modes (K, N, 3), both gamma-encoded, 0..255.

    Deviation: Eq. 2 sums linear albedos, but this model was built on gamma-encoded colours, and the power of a sum is
    not linear in the coefficients. Hence the first order about the mean: the mean is (m / 255)^2.2, a mode is
    multiplied by the derivative there. A change by a tenth of the mean is off by 1.3 % of the mean albedo.

    Raises ValueError for a mean that is not in 0..255.
    """
    if not (mean.min() >= 0 and 1 < mean.max() <= _WHITE):  # `not` first, so that NaN is refused
        raise ValueError(f"{path}: meantex holds {mean.min():.3g} to {mean.max():.3g}, expected colours in 0..255")
    encoded = mean / _WHITE
    slope = (GAMMA * encoded ** (GAMMA - 1) / _WHITE).astype(np.float32)
    diffuse_basis = slope * modes
    return Albedo(
        mean_diffuse=encoded**GAMMA,
        diffuse_basis=diffuse_basis,
        mean_specular=np.zeros_like(encoded),
        specular_basis=np.zeros_like(diffuse_basis),
    )
