"""Writes the page from the files of the other stages."""

from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from models.icp import IcpSettings
from models.protocols import PROTOCOLS
from pipelines.face_model_file import load_face_model
from pipelines.initialization import initialization_text
from pipelines.params import BenchmarksParams, CameraParams, EvaluateParams, RegressorParams
from pipelines.reporting.artist import Artist
from pipelines.reporting.captions import CURVES, ERROR_MAPS, FACE_MODEL, PAPER_FIGURES, VERIFICATION
from pipelines.reporting.figures import camera_of
from pipelines.reporting.markdown import html_of
from pipelines.reporting.material import Material
from pipelines.reporting.page.faces import write_faces, write_scans
from pipelines.reporting.page.facts import label_quality, run_facts
from pipelines.reporting.page.pictures import write_small_copy
from pipelines.reporting.page.tables import page_tables
from pipelines.reporting.roc import roc_figure
from pipelines.shape_scoring import ShapeScoring
from pipelines.verification_file import read_verification

LABEL_SHEET = "labels.webp"
_TEMPLATE = "page.html.jinja"


class PageInputs(NamedTuple):
    """What the page is made from."""

    reports: Path  # tables, figures and the regression check
    label_quality: Path
    label_sheet: Path
    verification: Path
    face_model: Path
    labels: Path
    benchmarks: Path
    predictions: Path


def write_page(
    inputs: PageInputs,
    output: Path,
    *,
    profile: str,
    camera: CameraParams,
    benchmarks: BenchmarksParams,
    evaluate: EvaluateParams,
    regressor: RegressorParams,
    variants: tuple[str, ...],
) -> None:
    """Write `index.html` and everything it shows."""
    output.mkdir(parents=True, exist_ok=True)
    artist = Artist(load_face_model(inputs.face_model), camera_of(camera), camera.crop_size)
    material = Material(inputs.labels, inputs.predictions, variants)
    for caption in (*PAPER_FIGURES, *CURVES, FACE_MODEL):
        figure = _required(inputs.reports / "figures" / caption.file)
        write_small_copy(figure, output / "figures" / caption.file_on_page)
    write_small_copy(_required(inputs.label_sheet), output / "figures" / LABEL_SHEET)
    recognizer = read_verification(_required(inputs.verification))
    if recognizer.roc:
        roc_figure(output / "figures" / VERIFICATION.file, recognizer.roc)
    facts = run_facts(artist.model, inputs.labels, benchmarks)
    icp = IcpSettings(evaluate.iterations, evaluate.kept_fraction)
    scoring, protocol = ShapeScoring(inputs.benchmarks / "micc", artist.model, icp), PROTOCOLS[evaluate.protocol]
    page = _template().render(
        profile=profile,
        facts=[*facts, ("the regressor began with", initialization_text(regressor)), ("variants", ", ".join(variants))],
        tables=page_tables(inputs.reports / "tables"),
        check=Markup(html_of(_without_heading(_required(inputs.reports / "check.md").read_text()))),
        quality=label_quality(_required(inputs.label_quality)),
        label_sheet=LABEL_SHEET,
        faces=write_faces(artist, material, output),
        scans=write_scans(artist, scoring, inputs.predictions, output, protocol, variants),
        paper_figures=PAPER_FIGURES,
        error_maps=ERROR_MAPS,
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


def _without_heading(text: str) -> str:
    """The text without its first line when that is a heading; the page has its own."""
    return text.partition("\n")[2] if text.startswith("#") else text


def _required(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; run the stage that writes it first")
    return path
