"""How good each label is, measured on held-out synthetic photographs, whose truth is known."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from models.landmarks import LANDMARKS, MOUTH_CORNERS, NOSE_TIP
from models.segments import FACE_SEGMENTS, SEGMENT_INDEX, SEGMENTS
from pipelines.dataset import landmarks_by_key
from pipelines.labelling.mouth import mean_gap, mouth_opening
from pipelines.labelling.skin_mixture import SKIN_SEGMENTS
from pipelines.labelling.truth import true_landmarks, true_segments
from pipelines.params import MouthParams
from pipelines.shards import ShardReader, decode, read_rows
from pipelines.truth_rows import rows_with_truth

Errors = dict[str, list[float]]
TONES = ("dark", "middle", "light")  # thirds of the measured people, by ITA


class _Sample(NamedTuple):
    """One crop, its labels and its truth; points in pixels of the crop."""

    row: pd.Series
    tone: str
    landmarks: NDArray[np.floating]
    true_landmarks: NDArray[np.floating]
    segments: NDArray[np.uint8]
    true_segments: NDArray[np.uint8]
    skin: NDArray[np.bool_]
    mouth: NDArray[np.bool_]


def measure_labels(labels: Path, truth: Path, output: Path, *, crop_size: int, mouth: MouthParams) -> None:
    """Write a nested JSON of means, each beside the number of crops it is over; without truth only the counts."""
    errors: Errors = defaultdict(list)
    confusion = np.zeros((len(SEGMENTS), len(SEGMENTS)))
    skin_counts = {tone: np.zeros((2, 2)) for tone in TONES}
    rows = rows_with_truth(labels / "aligned", truth, "test")
    for sample in _samples(labels, truth, _with_tones(rows), crop_size=crop_size):
        _measure_points(sample, errors)
        _measure_mouth(sample, mouth.minimum_opening_px, errors)
        confusion += _confusion(sample.true_segments, sample.segments, len(SEGMENTS))
        is_skin = np.isin(sample.true_segments, [SEGMENT_INDEX[name] for name in SKIN_SEGMENTS])
        face = np.isin(sample.segments, [SEGMENT_INDEX[name] for name in FACE_SEGMENTS])  # where Eq. 8 asks
        skin_counts[sample.tone] += _confusion(is_skin[face], sample.skin[face], 2)
    result = {
        "photographs": _photographs(read_rows(labels / "aligned"), labels),
        "segments": {"count": len(rows), **_overlaps(confusion)},
        "skin": _skin(skin_counts),
        **_nested({name: {"mean": float(np.mean(v)), "count": len(v)} for name, v in sorted(errors.items())}),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")


def _samples(labels: Path, truth: Path, rows: pd.DataFrame, *, crop_size: int) -> Any:
    readers = {name: ShardReader(labels / name) for name in ("segments", "skin", "mouth")}
    true_reader, points = ShardReader(truth), landmarks_by_key(labels / "landmarks")
    for _, row in tqdm(rows.iterrows(), total=len(rows), desc="label_quality", unit="crop"):
        masks = {name: decode(reader.read(row["key"], "png")) for name, reader in readers.items()}
        yield _Sample(
            row=row,
            tone=row["tone"],
            landmarks=points[row["key"]],
            true_landmarks=true_landmarks(row),
            segments=masks["segments"],
            true_segments=true_segments(true_reader, row, size=crop_size, crop_size=crop_size),
            skin=masks["skin"] > 127,  # p > 0.5, where Eq. 9 gives the full weight
            mouth=masks["mouth"] > 0,
        )


def _with_tones(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the third of the skin tones each belongs to; larger ITA is lighter."""
    if rows.empty:
        return rows
    ranks = rows["skin_tone_ita"].rank(method="first") - 1
    return rows.assign(tone=[TONES[int(rank * len(TONES) // len(rows))] for rank in ranks])


def _measure_points(sample: _Sample, errors: Errors) -> None:
    """Landmark errors in % of the root of the true box's area; MTCNN's in % of the distance between the eyes."""
    box = np.sqrt(np.ptp(sample.true_landmarks, axis=0).prod())
    distance = 100 * np.linalg.norm(sample.landmarks - sample.true_landmarks, axis=-1) / box
    for name in ("all", *LANDMARKS):
        errors[f"landmarks/{name}_nme"].append(float(distance[LANDMARKS.get(name, slice(None))].mean()))
    errors[f"landmarks/by_tone/{sample.tone}_nme"].append(float(distance.mean()))
    photograph = np.asarray(sample.row["landmarks"], float).reshape(-1, 2)
    eyes = [photograph[LANDMARKS[name]].mean(axis=0) for name in ("right_eye", "left_eye")]
    five = np.stack([*eyes, *photograph[[NOSE_TIP, *MOUTH_CORNERS]]])
    found = np.asarray(sample.row["points"], float).reshape(5, 2)
    interocular = np.linalg.norm(five[0] - five[1])
    errors["alignment/five_point_error"].append(100 * float(np.linalg.norm(found - five, axis=-1).mean() / interocular))


def _measure_mouth(sample: _Sample, minimum_opening: float, errors: Errors) -> None:
    """Overlap where the mouth is open; whether open and closed are told apart; error of the opening, px."""
    opening = mouth_opening(sample.true_landmarks)
    errors["mouth/opening_px_error"].append(abs(mouth_opening(sample.landmarks) - opening))
    true_mouth = sample.true_segments == SEGMENT_INDEX["inner_mouth"]
    if mean_gap(true_mouth, sample.true_landmarks) < minimum_opening:
        errors["mouth/closed_recall"].append(float(not sample.mouth.any()))
        return
    errors["mouth/open_recall"].append(float(sample.mouth.any()))
    errors["mouth/iou"].append(float((true_mouth & sample.mouth).sum() / (true_mouth | sample.mouth).sum()))


def _confusion(true: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """Pixels by true class (rows) and predicted class (columns)."""
    pairs = true.astype(int).ravel() * classes + predicted.astype(int).ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(float)


def _overlaps(confusion: NDArray[np.float64]) -> dict[str, float]:
    """Intersection over union of each class and of the face; NaN for a class that never occurs."""
    groups: dict[str, Sequence[int]] = {name: [index] for index, name in enumerate(SEGMENTS)}
    groups["face"] = [SEGMENT_INDEX[name] for name in FACE_SEGMENTS]
    scores = {}
    for name, members in groups.items():
        common = confusion[np.ix_(members, members)].sum()
        union = confusion[members].sum() + confusion[:, members].sum() - common
        scores[f"{name}_iou"] = _ratio(common, union)
    return scores


def _skin(counts: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Recall and precision of p > 0.5 among the pixels of the face, for all skin tones and for each third."""
    return {
        name: {
            "recall": _ratio(table[1, 1], table[1].sum()),
            "precision": _ratio(table[1, 1], table[:, 1].sum()),
        }
        for name, table in (("all", sum(counts.values(), np.zeros((2, 2)))), *counts.items())
    }


def _photographs(aligned: pd.DataFrame, labels: Path) -> dict[str, Any]:
    kept = aligned["status"] == "kept"
    synthetic = aligned["synthetic"].astype(bool)
    networks = read_rows(labels / "landmarks")["network"].value_counts().to_dict()
    return {
        "kept": int(kept.sum()),
        "rejected": int((~kept).sum()),
        "synthetic_detected": _ratio(float((kept & synthetic).sum()), float(synthetic.sum())),
        "landmarks_by": {str(name): int(number) for name, number in sorted(networks.items())},
    }


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a/b": x}` → `{"a": {"b": x}}`."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *groups, leaf = path.split("/")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[leaf] = value
    return tree
