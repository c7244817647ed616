"""From raw samples to what prediction and evaluation read: crops, landmarks, scans and a table of samples."""

import io
import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from pipelines.benchmarks.common import BENCHMARKS, TWIN, Sample, write_omitted, write_samples
from pipelines.benchmarks.ground_truth import write_scans
from pipelines.benchmarks.lens import straightened
from pipelines.benchmarks.raw import RawPhotograph, RawSample, Reading, in_words
from pipelines.benchmarks.read_aflw2000 import read_aflw2000
from pipelines.benchmarks.read_facescape import Sizes, read_facescape
from pipelines.benchmarks.read_micc import read_micc
from pipelines.benchmarks.studio import TwinPlan
from pipelines.benchmarks.twin_aflw2000 import write_aflw2000_twin
from pipelines.benchmarks.twin_facescape import write_facescape_twin
from pipelines.benchmarks.twin_micc import write_micc_twin
from pipelines.labelling.align import align_photographs
from pipelines.labelling.landmark_labels import label_landmarks
from pipelines.labelling.warping import warp_points
from pipelines.params import AlignParams, BenchmarksParams, CameraParams, LandmarksParams
from pipelines.shards import ShardWriter, encode_jpeg, read_rows, write_rows

_LONGEST_SIDE = 1024  # px; larger pictures are kept at this size, a crop has 224
_KEYS_PER_SHARD = 256

_log = logging.getLogger(__name__)


class BenchmarkInputs(NamedTuple):
    """Everything a benchmark is built with."""

    face_model: Path
    landmark_weights: Path
    memo: Path
    params: BenchmarksParams
    camera: CameraParams
    align: AlignParams
    landmarks: LandmarksParams


def build_benchmark(name: str, inputs: BenchmarkInputs, output: Path) -> None:
    """Write a benchmark folder: its twin in the data set's layout, or the real data set, brought to the common form.

    Raises ValueError for an unknown name, FileNotFoundError where a real data set is not.
    """
    if name not in BENCHMARKS:
        raise ValueError(f"benchmark: expected one of {', '.join(BENCHMARKS)}, got {name!r}")
    source = str(getattr(inputs.params, name))
    is_twin = source == TWIN
    raw = output / "raw" if is_twin else Path(source)
    if not is_twin:
        reading = _read(name, raw, inputs.params)  # a missing folder must not cost what is in the output
    shutil.rmtree(output, ignore_errors=True)
    tones: dict[str, float] = {}
    if is_twin:
        tones = _write_twin(name, raw, inputs)
        reading = _read(name, raw, inputs.params)
    samples = reading.samples
    write_scans(samples, output / "scans")  # first, so that a broken one is known before the long work
    factors = write_photographs(samples, output / "photographs", synthetic=is_twin, root=raw)
    _label(output, inputs)
    write_samples(output, aligned_samples(samples, read_rows(output / "aligned"), factors=factors, skin_tones=tones))
    _report(name, reading, output)


def _report(name: str, reading: Reading, output: Path) -> None:
    """Say what the data set lacks, on the terminal and in `omitted.json`."""
    write_omitted(output, {one.what: one.reason for one in reading.omitted})
    if reading.omitted:
        _log.warning("%s: %s (all of them: %s/omitted.json)", name, in_words(reading.omitted), output)


def _write_twin(name: str, folder: Path, inputs: BenchmarkInputs) -> dict[str, float]:
    params = inputs.params
    plan = TwinPlan(inputs.face_model, folder, params.seed, inputs.camera.distance_mm, params.twin)
    folder.mkdir(parents=True)
    if name == "micc":
        return write_micc_twin(plan, subjects=params.micc_subjects, frames=params.micc_frames, workers=params.workers)
    if name == "facescape":
        return write_facescape_twin(plan, sizes=_sizes(params), workers=params.workers)
    return write_aflw2000_twin(plan, photographs=params.aflw2000_photographs, workers=params.workers)


def _read(name: str, folder: Path, params: BenchmarksParams) -> Reading:
    if name == "micc":
        return read_micc(folder, frames_per_clip=params.micc_frames)
    if name == "facescape":
        return read_facescape(folder, sizes=_sizes(params), seed=params.seed)
    return read_aflw2000(folder, annotation=params.aflw2000_annotation)


def _sizes(params: BenchmarksParams) -> Sizes:
    return Sizes(
        subjects=params.facescape_subjects,
        views=params.facescape_views,
        ablation_subjects=params.facescape_ablation_subjects,
        ablation_expressions=params.facescape_ablation_expressions,
    )


def write_photographs(samples: Sequence[RawSample], folder: Path, *, synthetic: bool, root: Path) -> dict[str, float]:
    """Write the samples' pictures as a photographs folder; returns by which factor each one was shrunk."""
    photographs = {photo.key: photo for sample in samples for photo in sample.photographs}
    rows, factors = [], {}
    with ShardWriter(folder, keys_per_shard=_KEYS_PER_SHARD) as writer:
        for key in tqdm(sorted(photographs), desc="photographs", unit="photograph"):
            photo = photographs[key]
            row = _row(photo, synthetic=synthetic, name=photo.path.relative_to(root).as_posix())
            try:
                content, size, factors[key] = _picture(photo)
            except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
                rows.append(row | {"status": "rejected", "reason": f"not a readable picture ({type(error).__name__})"})
                continue
            writer.write(key, {"jpg": content})
            rows.append(row | {"width": size[0], "height": size[1]})
    write_rows(folder, pd.DataFrame(rows))
    return factors


def _row(photo: RawPhotograph, *, synthetic: bool, name: str) -> dict[str, Any]:
    return {
        "key": photo.key,
        "name": name,
        "identity": photo.subject,
        "split": "test",
        "synthetic": synthetic,
        "width": 0,
        "height": 0,
        "status": "kept",
        "reason": "",
    }


def _picture(photo: RawPhotograph) -> tuple[bytes, tuple[int, int], float]:
    """JPEG bytes of at most 1024 px, their size and the factor they were shrunk by; a file that fits is not touched.

    What the lens bent is straight again; LensMismatchError when the lens belongs to another picture.
    """
    content = photo.path.read_bytes()
    with Image.open(io.BytesIO(content)) as opened:
        opened.load()
        upright = ImageOps.exif_transpose(opened)
        factor = min(1.0, _LONGEST_SIDE / max(upright.size))
        fits = factor == 1.0 and opened.format == "JPEG" and opened.mode == "RGB" and upright.size == opened.size
        if fits and photo.lens is None and not opened.getexif():
            return content, opened.size, 1.0
        size = (max(1, round(upright.width * factor)), max(1, round(upright.height * factor)))
        picture = np.asarray(upright.convert("RGB").resize(size, Image.Resampling.LANCZOS))
        return encode_jpeg(picture if photo.lens is None else straightened(picture, photo.lens)), size, factor


def _label(output: Path, inputs: BenchmarkInputs) -> None:
    one_face = inputs.align.model_copy(update={"faces": "largest"})
    align_photographs(
        output / "photographs",
        output / "aligned",
        params=one_face,
        crop_size=inputs.camera.crop_size,
        memo=inputs.memo,
    )
    label_landmarks(
        output / "aligned", inputs.landmark_weights, output / "landmarks", params=inputs.landmarks, memo=inputs.memo
    )


def aligned_samples(
    samples: Sequence[RawSample],
    aligned: pd.DataFrame,
    *,
    factors: Mapping[str, float],
    skin_tones: Mapping[str, float],
) -> list[Sample]:
    """Every sample with the crops that its photographs gave, also when there is none."""
    kept = aligned[aligned["status"] == "kept"]
    affines = {
        str(key): np.asarray(numbers, np.float64).reshape(2, 3)
        for key, numbers in zip(kept["key"], kept["crop_from_photograph"], strict=True)
    }
    return [
        Sample(
            sample=sample.name,
            subject=sample.subject,
            condition=sample.condition,
            comparison=sample.comparison,
            ablation=sample.ablation,
            keys=tuple(photo.key for photo in sample.photographs if photo.key in affines),
            scan=f"scans/{sample.scan_name}.ply" if sample.read_scan is not None else "",
            landmarks=_crop_landmarks(sample.photographs, affines, factors),
            skin_tone_ita=skin_tones.get(sample.subject, math.nan),
        )
        for sample in samples
    ]


def _crop_landmarks(
    photographs: Sequence[RawPhotograph], affines: Mapping[str, NDArray[np.float64]], factors: Mapping[str, float]
) -> tuple[float, ...]:
    """The true landmarks of a sample's only photograph in pixels of its crop, x0, y0, x1, …; empty without."""
    photo = photographs[0]
    if photo.landmarks is None or photo.key not in affines:
        return ()
    return tuple(warp_points(photo.landmarks * factors[photo.key], affines[photo.key]).ravel().tolist())
