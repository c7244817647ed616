"""The frames of MICC's clips: pictures extracted from the videos, all of them or those that a person chose."""

import json
import re
from pathlib import Path, PurePosixPath

CHOSEN = "frames.txt"  # a picture a line, relative to the data set
FRONTAL = "annotations.json"  # of eduardramon/hyperparams-free-3D-losses: one frame of each cooperative clip
_VIDEOS = {".avi", ".m4v", ".mjpg", ".mov", ".mp4", ".mpg", ".mts"}


def clip_frames(subject: Path, clip: str) -> list[Path]:
    """All frames of a clip, wherever below the subject's folder the clip's folder is."""
    return sorted(subject.rglob(f"{clip}/**/*.jpg"))


def why_no_frames(subject: Path, clip: str) -> str:
    """What a person has to do when a clip has no frames."""
    videos = sorted(
        path for path in subject.rglob("*") if path.suffix.lower() in _VIDEOS and clip in str(path.relative_to(subject))
    )
    if not videos:
        return f"neither frames {clip}/*.jpg nor a video of {clip}"
    folder = subject.name + f"/{clip}"
    return (
        f"{videos[0].name} is a video without frames; extract them, e.g."
        f" ffmpeg -i {videos[0].relative_to(subject.parent)} -qscale:v 2 {folder}/frame%04d.jpg"
    )


class FrameSelection:
    """Which frames a person chose, of which clips; an error names a file that is not readable or a frame not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._chosen = _listed(folder)
        self._frontal = _frontal(folder / FRONTAL)

    def of(self, subject: Path, clip: str, frames: list[Path], *, cooperative: bool) -> list[Path] | None:
        """The chosen ones of a clip's frames; None when nobody chose, or the clip has no frames to choose from."""
        listed = [path for path in self._chosen if subject in path.parents and clip in path.parts]
        number = self._frontal.get(_number(subject.name)) if cooperative and frames and not listed else None
        if number is None:
            return listed or None
        found = [path for path in frames if _number(path.stem) == number]
        if not found:
            raise FileNotFoundError(f"{self._folder / FRONTAL}: {subject.name} has no frame {number} in {clip}")
        return found[:1]


def _listed(folder: Path) -> list[Path]:
    if not (folder / CHOSEN).is_file():
        return []
    paths = [folder / line.strip() for line in (folder / CHOSEN).read_text().splitlines() if line.strip()]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"{folder / CHOSEN}: {len(missing)} frames are not there, the first is {missing[0]}")
    return paths


def _frontal(path: Path) -> dict[int | None, int | None]:
    """Number of the chosen frame by number of the subject, from entries like ./cases/subject_1/frame890.jpg."""
    if not path.is_file():
        return {}
    try:
        names = [PurePosixPath(case["frame"]) for case in json.loads(path.read_text())["cases"]]
        return {_number(name.parent.name): _number(name.stem) for name in names}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected cases with frames like ./cases/subject_1/frame890.jpg ({error!r})"
        ) from None


def _number(name: str) -> int | None:
    """The number at the end of a name, if it has one."""
    digits = re.search(r"(\d+)$", name)
    return int(digits[1]) if digits else None
