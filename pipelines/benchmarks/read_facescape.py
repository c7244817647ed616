"""Reader of FaceScape's multi-view data in its own layout (Yang et al. 2020; Tables 2 and 4)."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipelines.benchmarks.raw import RawPhotograph, RawSample, required_folder, required_samples
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


def read_facescape(folder: Path, *, sizes: Sizes, seed: int) -> list[RawSample]:
    """One sample for each chosen subject and expression, with its first valid views.

    Subjects are drawn with `seed`, men and women in equal number as far as there are enough; the subjects of the
    ablation are the first ones of the draw. An expression without mesh or views is left out.
    """
    required_folder(folder, name="facescape", how_to_obtain=HOW_TO_OBTAIN)
    subjects = _drawn_subjects(folder, max(sizes.subjects, sizes.ablation_subjects), seed)
    frames = _read_json(folder / "Rt_scale_dict.json")
    samples = []
    for number, subject in enumerate(subjects):
        in_ablation = EXPRESSIONS[: sizes.ablation_expressions] if number < sizes.ablation_subjects else ()
        compared = COMPARED if number < sizes.subjects else ()
        for expression in EXPRESSIONS:
            if expression not in (*in_ablation, *compared):
                continue
            sample = _sample(folder, subject, expression, views=sizes.views, frames=frames)
            if sample is not None:
                flags = {"comparison": expression in compared, "ablation": expression in in_ablation}
                samples.append(RawSample(**{**vars(sample), **flags}))
    return required_samples(samples, folder=folder, layout=LAYOUT)


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


def _sample(folder: Path, subject: str, expression: str, *, views: int, frames: Mapping[str, Any]) -> RawSample | None:
    stem = file_stem(expression)
    mesh = folder / "meshes" / subject / f"{stem}.ply"
    pictures = _valid_views(folder / "imgs" / subject / stem)[:views]
    if not mesh.is_file() or not pictures:
        return None
    name = f"{int(subject):03d}-{stem}" if subject.isdigit() else f"{subject}-{stem}"
    photographs = [RawPhotograph(f"{name}-{path.stem}", path, subject) for path in pictures]
    return RawSample(
        name=name,
        subject=subject,
        condition=expression,
        photographs=tuple(photographs),
        scan_name=name,
        read_scan=partial(_read_scan, folder, subject, stem, frames.get(subject, {}).get(stem.partition("_")[0])),
    )


def _valid_views(folder: Path) -> list[Path]:
    """Pictures in the order of their view numbers, without those that params.json marks as invalid."""
    params = _read_json(folder / "params.json")
    pictures = sorted((path for path in folder.glob("*.jpg") if path.stem.isdigit()), key=lambda path: int(path.stem))
    return [path for path in pictures if params.get(f"{path.stem}_valid", True)]


def _read_scan(folder: Path, subject: str, stem: str, frame: tuple[float, list[list[float]]] | None) -> Scan:
    """A multi-view mesh, moved by its entry [scale, Rt] of Rt_scale_dict.json to the frame of the TU meshes, mm."""
    scan = read_mesh(folder / "meshes" / subject / f"{stem}.ply")
    if frame is None:
        raise ValueError(f"{folder / 'Rt_scale_dict.json'}: no scale for subject {subject}, expression {stem}")
    scale, matrix = float(frame[0]), np.asarray(frame[1], np.float64)
    vertices = scale * scan.vertices @ matrix[:, :3].T + matrix[:, 3]
    return Scan(vertices, scan.triangles, _tu_landmarks(folder, subject, stem))


def _tu_landmarks(folder: Path, subject: str, stem: str) -> np.ndarray | None:
    mesh, indices = folder / "tu" / subject / "models_reg" / f"{stem}.obj", folder / "landmark_indices.npz"
    if not (mesh.is_file() and indices.is_file()):
        return None
    with np.load(indices, allow_pickle=False) as file:
        return read_mesh(mesh).vertices[file[TU_LANDMARKS].astype(int)]


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}
