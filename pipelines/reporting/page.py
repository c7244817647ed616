"""The report page: one static folder that opens without a network."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from pipelines.dataset import crops
from pipelines.face_model_file import load_face_model
from pipelines.initialization import initialization_text
from pipelines.params import BenchmarksParams, CameraParams, RegressorParams
from pipelines.reporting.artist import Artist
from pipelines.reporting.captions import CURVES, FACE_MODEL, PAPER_FIGURES, VERIFICATION
from pipelines.reporting.comparisons import GALLERY_COLUMNS, everything
from pipelines.reporting.figures import TWIN, camera_of
from pipelines.reporting.markdown import html_of
from pipelines.reporting.material import Material
from pipelines.reporting.meshes import write_meshes
from pipelines.reporting.predictions import is_finite
from pipelines.reporting.roc import roc_figure
from pipelines.reporting.sheet import save_sheet
from pipelines.shards import read_rows
from pipelines.verification_file import read_verification

LABEL_SHEET = "labels.png"
_TEMPLATE = "page.html.jinja"
_MOST_FACES = 12  # each has a viewer of more than a megabyte


class PageInputs(NamedTuple):
    """What the page is made from."""

    reports: Path  # tables, figures and the regression check
    label_quality: Path
    label_sheet: Path
    verification: Path
    face_model: Path
    labels: Path
    predictions: Path


class Face(NamedTuple):
    """A reconstruction on the page."""

    key: str
    name: str
    synthetic: bool
    has_mesh: bool


def write_page(
    inputs: PageInputs,
    output: Path,
    *,
    profile: str,
    camera: CameraParams,
    benchmarks: BenchmarksParams,
    regressor: RegressorParams,
    variants: tuple[str, ...],
) -> None:
    """Write `index.html` and everything it shows."""
    output.mkdir(parents=True, exist_ok=True)
    artist = Artist(load_face_model(inputs.face_model), camera_of(camera), camera.crop_size)
    material = Material(inputs.labels, inputs.predictions, variants)
    for caption in (*PAPER_FIGURES, *CURVES, FACE_MODEL):
        _copy(inputs.reports / "figures" / caption.file, output / "figures" / caption.file)
    _copy(inputs.label_sheet, output / "figures" / LABEL_SHEET)
    recognizer = read_verification(_required(inputs.verification))
    if recognizer.roc:
        roc_figure(output / "figures" / VERIFICATION.file, recognizer.roc)
    page = _template().render(
        profile=profile,
        facts=[*_facts(inputs, benchmarks, artist), ("the regressor began with", initialization_text(regressor))],
        tables=[Markup(html_of(path.read_text())) for path in _tables(inputs.reports / "tables")],
        check=Markup(html_of(_without_heading(_required(inputs.reports / "check.md").read_text()))),
        quality=_quality(inputs.label_quality),
        label_sheet=LABEL_SHEET,
        faces=_faces(artist, material, output),
        face_columns=GALLERY_COLUMNS,
        paper_figures=PAPER_FIGURES,
        recognizer=recognizer,
        roc=VERIFICATION,
        curves=CURVES,
        face_model=FACE_MODEL,
    )
    (output / "index.html").write_text(page)


def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(_TEMPLATE)


def _facts(inputs: PageInputs, benchmarks: BenchmarksParams, artist: Artist) -> list[tuple[str, str]]:
    """What ran on what, as pairs of words."""
    rows = read_rows(inputs.labels / "aligned")
    kept = rows[rows["status"] == "kept"]
    splits = ", ".join(f"{count} {split}" for split, count in sorted(kept["split"].value_counts().items()))
    networks = ", ".join(sorted(read_rows(inputs.labels / "landmarks")["network"].unique()))
    synthetic = int(kept["synthetic"].sum())
    return [
        ("face model", f"{artist.model.arrays.source}, {len(artist.model.mean_shape)} vertices"),
        ("photographs", f"{synthetic} synthetic, {len(kept) - synthetic} real; {len(rows) - len(kept)} rejected"),
        ("split", splits),
        ("landmarks by", networks),
        *((name, _source(getattr(benchmarks, name))) for name in ("micc", "facescape", "aflw2000")),
    ]


def _source(value: str) -> str:
    return "synthetic twin" if value == TWIN else "real data set"


def _tables(folder: Path) -> list[Path]:
    found = sorted(
        folder.glob("*.md"), key=lambda path: (not path.name.startswith("table"), path.name)
    )  # paper's first
    if not found:
        raise FileNotFoundError(f"{folder}: no tables; run the stage evaluate first")
    return found


def _without_heading(text: str) -> str:
    """The text without its first line when that is a heading; the page has its own."""
    return text.partition("\n")[2] if text.startswith("#") else text


def _quality(path: Path) -> dict[str, list[tuple[str, str]]]:
    """The label-quality numbers as rows, by label."""
    tree = json.loads(_required(path).read_text())
    groups = {name: value for name, value in tree.items() if isinstance(value, dict)}
    loose = {name: value for name, value in tree.items() if not isinstance(value, dict)}
    return {name: list(_rows(group)) for name, group in {**groups, **({"": loose} if loose else {})}.items()}


def _rows(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in tree.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, dict):
            rows += _rows(value, f"{prefix}{name} · ")
        else:
            rows.append((label, f"{value:.4g}" if isinstance(value, float) else str(value)))
    return rows


def _faces(artist: Artist, material: Material, output: Path) -> list[Face]:
    """Draw and export the real photographs and one synthetic one."""
    names = crops(material.labels / "aligned", "test", "extra").set_index("key")["name"]
    real = material.real_keys()[:_MOST_FACES]
    synthetic = [key for key in material.examples(len(real) + 1) if key not in real][:1]
    faces = []
    for key in [*real, *synthetic]:
        coefficients = material.predictions("full").of(key)
        usable = is_finite(coefficients)
        sheet = output / "faces" / f"{key}.png"
        save_sheet(sheet, [everything(artist, material, key)], columns=GALLERY_COLUMNS)
        if usable:
            write_meshes(output / "faces", key, artist.model, coefficients)
        faces.append(Face(key, str(names[key]), key in synthetic, usable))
    return faces


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_required(source), target)


def _required(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; run the stage that writes it first")
    return path
