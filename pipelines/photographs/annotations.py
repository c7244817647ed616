"""Annotated segments of a photograph, made as large as the photograph that is kept."""

import numpy as np
from PIL import Image

from pipelines.photographs.found import Annotation
from pipelines.shards import encode_png

_LARGEST_STRETCH = 0.02  # of the sides' ratio; beyond it the annotation is of another picture, or one of them is turned


def encoded_segments(annotation: Annotation | None, *, width: int, height: int) -> tuple[bytes | None, str]:
    """A PNG (height, width) of class numbers and "", or None and what is wrong with the annotation ("" without one)."""
    if annotation is None:
        return None, ""
    try:
        segments = annotation.segments()
    except Exception as error:  # decoders of damaged files raise whatever they stumble over
        return None, f"broken annotation: {_first_line(error, annotation)}"
    rows, columns = segments.shape
    if abs(columns * height / (rows * width) - 1) > _LARGEST_STRETCH:
        return None, f"broken annotation: {columns} x {rows} px does not lie over {width} x {height} px"
    resized = Image.fromarray(segments).resize((width, height), Image.Resampling.NEAREST)
    return encode_png(np.asarray(resized)), ""


def _first_line(error: Exception, annotation: Annotation) -> str:
    """What a decoder said, without the place of the files on this machine."""
    text = str(error)
    for path in annotation.files:
        text = text.replace(str(path), path.name)
    return text.partition("\n")[0][:200]
