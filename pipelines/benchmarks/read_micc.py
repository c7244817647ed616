"""Reader of MICC Florence 2D/3D Faces in its own layout (Bagdanov et al. 2011; Table 3)."""

import json
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.benchmarks.raw import RawPhotograph, RawSample, evenly_chosen, required_folder, required_samples
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


def read_micc(folder: Path, *, frames_per_clip: int) -> list[RawSample]:
    """One sample for each subject and clip, with at most `frames_per_clip` frames spread over the clip.

    Of a subject's two frontal scans the first is taken, and the second where a protocol asks for it; a subject without
    a scan or a clip without frames is left out.
    """
    required_folder(folder, name="micc", how_to_obtain=HOW_TO_OBTAIN)
    samples = []
    for subject_folder in sorted(folder.glob("subject_*")):
        scans = sorted(subject_folder.glob("Model/frontal*/obj/*.obj"))
        if not scans:
            continue
        for condition, clip in CLIPS.items():
            frames = evenly_chosen(sorted(subject_folder.rglob(f"{clip}/**/*.jpg")), frames_per_clip)
            if frames:
                samples.append(_sample(subject_folder.name, condition, frames=frames, scans=scans))
    return required_samples(samples, folder=folder, layout=LAYOUT)


def _sample(subject: str, condition: str, *, frames: list[Path], scans: list[Path]) -> RawSample:
    name = f"{subject}-{condition}"
    photographs = [RawPhotograph(f"{name}-{number:03d}", path, subject) for number, path in enumerate(frames)]
    return RawSample(
        name=name,
        subject=subject,
        condition=condition,
        photographs=tuple(photographs),
        scan_name=subject,
        read_scan=partial(_read_scan, scans[0]),
        read_further_scans=tuple(partial(_read_scan, scan) for scan in scans[1:]),
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
    return points
