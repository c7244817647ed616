"""Reader of FaceScape's multi-view data in its own layout (Yang et al. 2020; Tables 2 and 4)."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.landmarks import LANDMARK_COUNT
from pipelines.benchmarks.lens import lens_from_entries
from pipelines.benchmarks.raw import Omission, RawPhotograph, RawSample, Reading, required_folder, required_samples
from pipelines.benchmarks.scans import Scan, read_mesh

HOW_TO_OBTAIN = (
    "FaceScape is free for non-commercial research after an application for a licence key (facescape.nju.edu.cn); put"
    " its multi-view images and meshes into imgs/ and meshes/, or set benchmarks.facescape to 'twin'."
)
LAYOUT = (
    "imgs/<id>/<k>_<expression>/<view>.jpg + params.json, meshes/<id>/<k>_<expression>.ply, Rt_scale_dict.json,"
    " info_list_v2.txt and, optional for landmarks, tu/<id>/models_reg/<k>_<expression>.obj + landmark_indices.npz"
)
# In the order of the data set's files: number k is the position plus one.
EXPRESSIONS = (
    "neutral", "smile", "mouth_stretch", "anger", "jaw_left", "jaw_right", "jaw_forward", "mouth_left", "mouth_right",
    "dimpler", "chin_raiser", "lip_puckerer", "lip_funneler", "sadness", "lip_roll", "grin", "cheek_blowing",
    "eye_closed", "brow_raiser", "brow_lower",
)  # fmt: skip
COMPARED = ("neutral", "mouth_stretch", "grin")  # Table 4
TU_LANDMARKS = "v10"  # the key of the TU topology in landmark_indices.npz


class Sizes(NamedTuple):
    """How much of the data set the tables use."""

    subjects: int
    views: int
    ablation_subjects: int
    ablation_expressions: int


def file_stem(expression: str) -> str:
    """The data set's name of an expression's folders and files."""
    return f"{EXPRESSIONS.index(expression) + 1}_{expression}"


def read_facescape(folder: Path, *, sizes: Sizes, seed: int) -> Reading:
    """One sample for each chosen subject and expression, with its first valid views.

    Subjects are drawn with `seed`, men and women in equal number as far as there are enough; the subjects of the
    ablation are the first ones of the draw. An expression without mesh, views or scale is left out and named.
    """
    required_folder(folder, name="facescape", how_to_obtain=HOW_TO_OBTAIN)
    wanted = max(sizes.subjects, sizes.ablation_subjects)
    subjects = _drawn_subjects(folder, wanted, seed)
    frames = _read_json(folder / "Rt_scale_dict.json")
    reading = Reading([], [])
    if len(subjects) < wanted:
        there = f"{len(subjects)} of {wanted} have a folder in imgs/ and in meshes/"
        reading.omitted.append(Omission(f"{wanted - len(subjects)} subjects", there))
    for number, subject in enumerate(subjects):
        in_ablation = EXPRESSIONS[: sizes.ablation_expressions] if number < sizes.ablation_subjects else ()
        compared = COMPARED if number < sizes.subjects else ()
        for expression in EXPRESSIONS:
            if expression not in (*in_ablation, *compared):
                continue
            found = _sample(folder, subject, expression, views=sizes.views, frames=frames)
            if isinstance(found, Omission):
                reading.omitted.append(found)
                continue
            flags = {"comparison": expression in compared, "ablation": expression in in_ablation}
            reading.samples.append(RawSample(**{**vars(found), **flags}))
    return required_samples(reading, folder=folder, layout=LAYOUT)


def _drawn_subjects(folder: Path, count: int, seed: int) -> list[str]:
    available = {path.name for path in (folder / "imgs").glob("*") if (folder / "meshes" / path.name).is_dir()}
    genders = _genders(folder / "info_list_v2.txt")
    rng = np.random.default_rng(seed)
    groups = [sorted((s for s in available if genders.get(s) == gender), key=_number) for gender in ("m", "f")]
    rest = sorted(available - {s for group in groups for s in group}, key=_number)
    women_and_men = [[str(s) for s in rng.permutation(group)] for group in groups]
    alternating = [s for pair in zip(*women_and_men, strict=False) for s in pair]
    left_over = [s for group in women_and_men for s in group if s not in alternating]
    return [*alternating, *left_over, *rest][:count]


def _number(subject: str) -> tuple[int, str]:
    return (int(subject), subject) if subject.isdigit() else (10**9, subject)


def _genders(path: Path) -> dict[str, str]:
    """Gender of each subject, "m" or "f", from lines "index gender age …"; empty without the file."""
    if not path.is_file():
        return {}
    lines = (line.replace(",", " ").split() for line in path.read_text().splitlines())
    return {words[0]: words[1].lower() for words in lines if len(words) > 1}


def _sample(
    folder: Path, subject: str, expression: str, *, views: int, frames: Mapping[str, Any]
) -> RawSample | Omission:
    stem = file_stem(expression)
    name = f"{int(subject):03d}-{stem}" if subject.isdigit() else f"{subject}-{stem}"
    if not (folder / "meshes" / subject / f"{stem}.ply").is_file():
        return Omission(name, f"no mesh meshes/{subject}/{stem}.ply")
    photographs = _photographs(folder / "imgs" / subject / stem, subject, name=name)[:views]
    if not photographs:
        return Omission(name, f"no valid view imgs/{subject}/{stem}/<view>.jpg")
    frame = frames.get(subject, {}).get(stem.partition("_")[0])
    if frame is None:
        return Omission(name, "no scale and Rt in Rt_scale_dict.json, so no millimetres")
    return RawSample(
        name=name,
        subject=subject,
        condition=expression,
        photographs=tuple(photographs),
        scan_name=name,
        read_scan=partial(_read_scan, folder, subject, stem, frame),
    )


def _photographs(folder: Path, subject: str, *, name: str) -> list[RawPhotograph]:
    """Pictures in the order of their view numbers, without those that params.json marks as invalid."""
    params = _read_json(folder / "params.json")
    pictures = sorted((path for path in folder.glob("*.jpg") if path.stem.isdigit()), key=lambda path: int(path.stem))
    return [
        RawPhotograph(
            f"{name}-{path.stem}",
            path,
            subject,
            lens=lens_from_entries(params, path.stem, where=str(folder / "params.json")),
        )
        for path in pictures
        if params.get(f"{path.stem}_valid", True)
    ]


def _read_scan(folder: Path, subject: str, stem: str, frame: tuple[float, list[list[float]]]) -> Scan:
    """A multi-view mesh, moved by its entry [scale, Rt] of Rt_scale_dict.json to the frame of the TU meshes, mm."""
    scan = read_mesh(folder / "meshes" / subject / f"{stem}.ply")
    try:
        scale, matrix = float(frame[0]), np.asarray(frame[1], np.float64)[:3]  # (3, 4), or (4, 4)
        vertices = scale * scan.vertices @ matrix[:, :3].T + matrix[:, 3]
    except (IndexError, TypeError, ValueError) as error:
        where = f"{folder / 'Rt_scale_dict.json'}, subject {subject}, expression {stem}"
        raise ValueError(f"{where}: expected [scale, Rt] with Rt of 3×4 numbers ({error!r})") from error
    return Scan(vertices, scan.triangles, _tu_landmarks(folder, subject, stem))


def _tu_landmarks(folder: Path, subject: str, stem: str) -> NDArray[np.float64] | None:
    mesh, indices = folder / "tu" / subject / "models_reg" / f"{stem}.obj", folder / "landmark_indices.npz"
    if not (mesh.is_file() and indices.is_file()):
        return None
    vertices = read_mesh(mesh).vertices
    with np.load(indices, allow_pickle=False) as file:
        chosen = file[TU_LANDMARKS].astype(int).ravel() if TU_LANDMARKS in file else np.zeros(0, int)
    if len(chosen) != LANDMARK_COUNT or not 0 <= chosen.min() <= chosen.max() < len(vertices):
        raise ValueError(
            f"{indices}: expected {LANDMARK_COUNT} vertices of {mesh} under {TU_LANDMARKS!r}, got {len(chosen)}"
            f" for a mesh of {len(vertices)}"
        )
    return vertices[chosen]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text())) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(f"{path}: not a readable JSON file ({error})") from error
