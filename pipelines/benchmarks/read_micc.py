"""Reader of MICC Florence 2D/3D Faces in its own layout (Bagdanov et al. 2011; Table 3)."""

import json
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.benchmarks.micc_frames import FrameSelection, clip_frames, why_no_frames
from pipelines.benchmarks.raw import (
    Omission,
    RawPhotograph,
    RawSample,
    Reading,
    evenly_chosen,
    required_folder,
    required_samples,
)
from pipelines.benchmarks.scans import Scan, read_mesh

HOW_TO_OBTAIN = (
    "MICC Florence 2D/3D Faces is free for research after a signed request to the University of Florence"
    " (micc.unifi.it); extract the frames of each video as .jpg beside it, or set benchmarks.micc to 'twin'."
)
LAYOUT = (
    "subject_XX/Model/frontal1/obj/<timestamp>.obj (and, optional, <timestamp>.ljson with 68 points) and frames"
    " subject_XX/{Indoor-Cooperative,PTZ-Indoor,PTZ-Outdoor}/*.jpg"
)
CLIPS = {"cooperative": "Indoor-Cooperative", "indoor": "PTZ-Indoor", "outdoor": "PTZ-Outdoor"}


def read_micc(folder: Path, *, frames_per_clip: int) -> Reading:
    """One sample for each subject and clip, with at most `frames_per_clip` frames spread over the clip.

    Frames that a person chose come instead, all of them, where `frames.txt` or `annotations.json` lie in the folder.
    Of a subject's frontal scans the first is taken; the second one, which subject_30 lacks, is a further scan.
    """
    required_folder(folder, name="micc", how_to_obtain=HOW_TO_OBTAIN)
    selection = FrameSelection(folder)
    subjects = sorted(path for path in folder.glob("subject_*") if path.is_dir())
    reading = Reading([], [Omission(name, "no folder") for name in _skipped_numbers(subjects)])
    for subject in subjects:
        scans = _frontal_scans(subject)
        if not scans:
            reading.omitted.append(Omission(subject.name, "no scan Model/frontal1/obj/*.obj"))
            continue
        for condition, clip in CLIPS.items():
            frames = clip_frames(subject, clip)
            chosen = selection.of(subject, clip, frames, cooperative=condition == "cooperative")
            frames = evenly_chosen(frames, frames_per_clip) if chosen is None else chosen
            if frames:
                reading.samples.append(_sample(subject.name, condition, frames=frames, scans=scans))
            else:
                reading.omitted.append(Omission(f"{subject.name}-{condition}", why_no_frames(subject, clip)))
    return required_samples(reading, folder=folder, layout=LAYOUT)


def _skipped_numbers(subjects: list[Path]) -> list[str]:
    """Names between the first and the last subject that have no folder."""
    there = {path.name for path in subjects}
    numbers = [int(name.removeprefix("subject_")) for name in there if name.removeprefix("subject_").isdigit()]
    expected = [f"subject_{number:02d}" for number in range(1, max(numbers, default=0))]
    return [name for name in expected if name not in there]


def _frontal_scans(subject: Path) -> list[Path]:
    """The first scan in each of the folders frontal1 and frontal2."""
    folders = sorted(subject.glob("Model/frontal*"))
    return [paths[0] for paths in (sorted(folder.glob("obj/*.obj")) for folder in folders) if paths]


def _sample(subject: str, condition: str, *, frames: list[Path], scans: list[Path]) -> RawSample:
    name = f"{subject}-{condition}"
    photographs = [RawPhotograph(f"{name}-{number:03d}", path, subject) for number, path in enumerate(frames)]
    first, *others = (partial(_read_scan, path) for path in scans)
    return RawSample(
        name=name,
        subject=subject,
        condition=condition,
        photographs=tuple(photographs),
        scan_name=subject,
        read_scan=first,
        read_further_scans=tuple(others),
    )


def _read_scan(path: Path) -> Scan:
    landmarks = path.with_suffix(".ljson")
    return read_mesh(path)._replace(landmarks=read_ljson(landmarks) if landmarks.is_file() else None)


def read_ljson(path: Path) -> NDArray[np.float64]:
    """The 68 points (68, 3), mm, of a menpo landmark file; ValueError when there are not 68."""
    try:
        points = np.array(json.loads(path.read_text())["groups"]["LJSON"]["landmarks"]["points"], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a menpo landmark file with a group LJSON ({error!r})") from error
    if points.shape != (68, 3):
        raise ValueError(f"{path}: expected 68 points with x, y, z, got an array of shape {points.shape}")
    missing = np.flatnonzero(~np.isfinite(points).all(axis=1)).tolist()
    if missing:
        raise ValueError(f"{path}: expected 68 marked points, but those with the numbers {missing} are missing")
    return points
