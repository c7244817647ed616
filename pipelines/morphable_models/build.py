"""Makes the face model that `face_model.source` names, whatever its source, in the one form of all face models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from models.face_model import FaceModelArrays
from pipelines.embedded_face.build import build_embedded_face
from pipelines.morphable_models.assembly import Albedo, ReadModel, assembled
from pipelines.morphable_models.bfm2009 import read_bfm2009
from pipelines.morphable_models.bfm2017 import read_bfm2017
from pipelines.morphable_models.borrowed_albedo import borrowed_albedo
from pipelines.morphable_models.flame import read_flame
from pipelines.morphable_models.gnm import read_gnm
from pipelines.morphable_models.ict import read_ict
from pipelines.params import FaceModelParams

_READERS: dict[str, Callable[[Path], tuple[ReadModel, Albedo | None]]] = {
    "bfm2017": read_bfm2017,
    "bfm2009": read_bfm2009,
    "ict": read_ict,
    "flame": read_flame,
    "gnm": read_gnm,
}


def build_face_model(params: FaceModelParams) -> FaceModelArrays:
    """The face model as arrays.

    A model without an albedo of its own borrows that of the embedded one by registration; one without a specular
    albedo borrows its mean, which then is the same for everybody.

    Raises FileNotFoundError that tells how to obtain a missing file, ValueError for files of another layout.
    """
    if params.source == "embedded":
        return build_embedded_face(params)
    read, own = _READERS[params.source](Path(params.root))
    if own is not None and own.mean_specular.any():
        return assembled(read, own)
    lender = build_embedded_face(params)
    borrowed = borrowed_albedo(read.mean_shape, read.landmark_vertices, lender, regions=read.regions)
    return assembled(read, borrowed if own is None else replace(own, mean_specular=borrowed.mean_specular))
