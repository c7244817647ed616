"""Reader of the NoW benchmark in its own layout (Sanyal et al. 2019): lists of photographs, scans, seven landmarks."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from pipelines.benchmarks.raw import Omission, RawPhotograph, RawSample, Reading, required_folder, required_samples
from pipelines.benchmarks.scans import read_mesh

HOW_TO_OBTAIN = (
    "The NoW benchmark is free for research after a registration (now.is.tue.mpg.de): put the pictures, their lists and"
    " the scans of the validation set with their landmarks into one folder."
)
LAYOUT = (
    "imagepathsvalidation.txt or imagepathstest.txt with lines <subject>/<challenge>/<picture>.jpg, the pictures in"
    " iphone_pictures/ (or NoW_Dataset/final_release_version/iphone_pictures/) and, of the validation set,"
    " scans/<subject>/*.obj with scans_lmks_onlypp/<subject>/*.pp"
)
ImageSet = Literal["validation", "test"]
# Of the 68: outer and inner corner of the right eye, inner and outer one of the left, bottom of the nose, corners of
# the mouth. In this order in the files of the scans and of the predictions.
LANDMARKS = (36, 39, 42, 45, 33, 48, 54)
_PICTURES = ("iphone_pictures", "*/iphone_pictures", "*/*/iphone_pictures")


class NowScan(NamedTuple):
    """A scan of the validation set, mm."""

    vertices: NDArray[np.float64]  # (N, 3)
    triangles: NDArray[np.int64]  # (F, 3)
    landmarks: NDArray[np.float64]  # (7, 3)


def read_now(folder: Path, *, image_set: ImageSet) -> Reading:
    """One sample for each listed photograph, named as its files of a submission: subject/challenge/picture.

    A listed photograph that is not there is left out and named.
    """
    required_folder(folder, name="now", how_to_obtain=HOW_TO_OBTAIN)
    names = _listed(folder / f"imagepaths{image_set}.txt")
    pictures = [path for pattern in _PICTURES for path in sorted(folder.glob(pattern)) if path.is_dir()]
    if not pictures:
        raise FileNotFoundError(f"{folder}: no folder iphone_pictures; expected the layout {LAYOUT}")
    reading = Reading([], [])
    for number, name in enumerate(names):
        path = pictures[0] / name
        if path.is_file():
            reading.samples.append(_sample(path, name, f"now-{number:04d}"))
        else:
            reading.omitted.append(Omission(str(name.with_suffix("")), f"{path} is not there"))
    return required_samples(reading, folder=folder, layout=LAYOUT)


def _listed(path: Path) -> list[PurePosixPath]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; expected the layout {LAYOUT}")
    lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    names = [PurePosixPath(*PurePosixPath(line).parts[-3:]) for line in lines]  # the lists may begin with a folder
    wrong = [line for line, name in zip(lines, names, strict=True) if len(name.parts) != 3 or ".." in name.parts]
    if wrong:
        raise ValueError(f"{path}: expected lines <subject>/<challenge>/<picture>.jpg, got {wrong[0]!r}")
    return names


def _sample(path: Path, name: PurePosixPath, key: str) -> RawSample:
    subject, challenge, _ = name.parts
    return RawSample(str(name.with_suffix("")), subject, challenge, (RawPhotograph(key, path, subject),))


def scanned_subjects(folder: Path, subjects: Sequence[str]) -> list[str]:
    """Those of the subjects that have a scan, in order; none of the test set has."""
    return [subject for subject in dict.fromkeys(subjects) if any((folder / "scans" / subject).glob("*.obj"))]


def read_now_scan(folder: Path, subject: str) -> NowScan:
    """The scan of a subject with its landmarks; an error names what is missing."""
    mesh = read_mesh(_only(folder / "scans" / subject, "*.obj"))
    return NowScan(
        mesh.vertices, mesh.triangles, read_picked_points(_only(folder / "scans_lmks_onlypp" / subject, "*.pp"))
    )


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{folder}: no file {pattern}; expected the layout {LAYOUT}")
    return found[0]


def read_picked_points(path: Path) -> NDArray[np.float64]:
    """The seven points (7, 3) of MeshLab's .pp file, in the order of the file; ValueError when there are not seven."""
    try:
        picked = ElementTree.parse(path).getroot().iter("point")
        points = np.array([[float(point.attrib[axis]) for axis in "xyz"] for point in picked])
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: not a readable file of picked points ({error!r})") from error
    if points.shape != (len(LANDMARKS), 3) or not np.isfinite(points).all():
        raise ValueError(f"{path}: expected {len(LANDMARKS)} finite points with x, y, z, got {len(points)}")
    return points
