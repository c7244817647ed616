"""Photographs → aligned crops: detect faces, choose, and move five points onto the template (Sec. 4.2)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models import camera, landmarks, registration
from models.networks import pooling
from pipelines.device import best_device
from pipelines.engines import IN_THIS_PROCESS
from pipelines.labelling import detection, warping
from pipelines.labelling.detection import Face, FaceDetector
from pipelines.labelling.shard_map import LabelShard, map_shards
from pipelines.params import AlignParams, LabellingParams
from pipelines.shard_memo import Item, source_digest
from pipelines.shards import ShardReader, decode, encode_jpeg, read_rows, write_rows

CARRIED = ("name", "identity", "split", "synthetic")
BOX_IN_CROP = (0.2, 2.0)  # width of a face's box in widths of its crop, commonly 0.5; beyond, its points make no face


class _Judged(NamedTuple):
    """A face and why it is rejected ("" when it is kept)."""

    face: Face | None
    reason: str


def align_photographs(
    photographs: Path,
    output: Path,
    *,
    params: AlignParams,
    crop_size: int,
    memo: Path,
    engine: LabellingParams = IN_THIS_PROCESS,
) -> None:
    """Write the crops of a photographs folder; every photograph gets a row, ValueError when not one face is left."""
    table = read_rows(photographs)
    modules = (
        __file__,
        detection.__file__,
        warping.__file__,
        registration.__file__,
        camera.__file__,
        landmarks.__file__,
        pooling.__file__,
    )
    fingerprint = {
        "stage": "align",
        "params": params.model_dump(exclude={"batch_size"}),
        "crop_size": crop_size,
        "code": source_digest(*modules),
    }

    step = _Align(photographs, params, crop_size)
    rows = map_shards(step, {photographs: ()}, output, fingerprint=fingerprint, memo=memo, engine=engine)
    unread = table[table["status"] == "rejected"]
    earlier = [
        _row(key, key, _Judged(None, reason), None) for key, reason in zip(unread["key"], unread["reason"], strict=True)
    ]
    rows = pd.concat([rows, pd.DataFrame(earlier)], ignore_index=True) if earlier else rows
    rows = _with_carried(rows, table)
    if not (rows["status"] == "kept").any():
        reasons = ", ".join(f"{reason} ({count})" for reason, count in rows["reason"].value_counts().items())
        raise ValueError(f"{photographs}: no photograph with a usable face is left: {reasons}")
    write_rows(output, rows)


@dataclass(frozen=True)
class _Align:
    photographs: Path
    params: AlignParams
    crop_size: int

    def prepare(self) -> LabelShard:
        return _Aligner(self.photographs, params=self.params, crop_size=self.crop_size)


class _Aligner:
    """Labels one shard after another with one detector."""

    def __init__(self, photographs: Path, *, params: AlignParams, crop_size: int) -> None:
        self.reader = ShardReader(photographs)
        self.params = params
        self.crop_size = crop_size
        self.detector = FaceDetector(
            minimum_face_fraction=params.minimum_face_fraction, batch_size=params.batch_size, device=best_device()
        )

    def __call__(self, keys: Sequence[str]) -> Iterator[Item]:
        for first in range(0, len(keys), self.params.batch_size):
            chunk = keys[first : first + self.params.batch_size]
            pictures = [self._picture(key) for key in chunk]
            for key, picture, faces in zip(chunk, pictures, self.detector.detect(pictures), strict=True):
                yield from self._labels(key, picture, faces)

    def _picture(self, key: str) -> NDArray[np.uint8]:
        try:
            return decode(self.reader.read(key, "jpg"))
        except KeyError:
            return decode(self.reader.read(key, "png"))

    def _labels(self, key: str, picture: NDArray[np.uint8], faces: list[Face]) -> Iterator[Item]:
        chosen = choose(faces, self.params)
        for number, judged in enumerate(chosen):
            crop_key = key if self.params.faces == "largest" else f"{key}-{number}"
            if judged.face is None or judged.reason:
                yield Item(crop_key, {}, _row(key, crop_key, judged, None))
                continue
            affine = warping.crop_from_five_points(judged.face.points, self.crop_size)
            crop = warping.warp_picture(picture, affine, self.crop_size)
            yield Item(crop_key, {"jpg": encode_jpeg(crop)}, _row(key, crop_key, judged, affine))


def choose(faces: list[Face], params: AlignParams) -> list[_Judged]:
    """The faces that get a row: the largest usable one (or all), else the largest with what is wrong with it."""
    if not faces:
        return [_Judged(None, "no face found")]
    judged = [_Judged(face, _fault(face, params.minimum_confidence)) for face in faces]
    usable = [one for one in judged if not one.reason]
    if params.faces == "largest":
        return usable[:1] or judged[:1]
    return judged


def _fault(face: Face, minimum_confidence: float) -> str:
    if face.confidence < minimum_confidence:
        return f"face with confidence {face.confidence:.2f}, below {minimum_confidence:.2f}"
    if not np.isfinite(face.points).all():
        return "face points degenerate"
    box_width = warping.scale_of(warping.crop_from_five_points(face.points, 1)) * float(face.box[2] - face.box[0])
    return "" if BOX_IN_CROP[0] < box_width < BOX_IN_CROP[1] else "face points degenerate"


def _with_carried(rows: pd.DataFrame, photographs: pd.DataFrame) -> pd.DataFrame:
    """Rows with what is known about their photographs; added after labelling, so that a new split moves no face."""
    if rows.empty:
        return rows
    carried = photographs.set_index("key")[list(CARRIED)].loc[rows["photograph"]].reset_index(drop=True)
    return pd.concat([rows[["key", "photograph"]], carried, rows.drop(columns=["key", "photograph"])], axis="columns")


def _row(photograph: str, key: str, judged: _Judged, affine: NDArray[np.float64] | None) -> dict[str, Any]:
    face = judged.face
    return {
        "key": key,
        "photograph": photograph,
        "status": "rejected" if judged.reason else "kept",
        "reason": judged.reason,
        "box": _numbers(None if face is None else face.box, 4),
        "confidence": float("nan") if face is None else face.confidence,
        "points": _numbers(None if face is None else face.points, 10),
        "crop_from_photograph": _numbers(affine, 6),
    }


def _numbers(values: NDArray[np.float64] | None, count: int) -> list[float]:
    return [float("nan")] * count if values is None else values.ravel().tolist()
