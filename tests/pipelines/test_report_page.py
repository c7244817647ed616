"""The report page: everything is on it, nothing is fetched, and what is missing is an error."""

import hashlib
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import trimesh
from PIL import Image

from models.face_model import FaceModel
from pipelines.reporting.artist import neutral_coefficients
from pipelines.reporting.captions import CURVES, FACE_MODEL, PAPER_FIGURES
from pipelines.reporting.markdown import html_of
from pipelines.reporting.meshes import write_meshes
from pipelines.reporting.page.build import PageInputs, write_page
from pipelines.reporting.page.tables import page_tables
from pipelines.verification_file import Verification, write_verification
from stages._params import load_params
from tests.browser import needs_browser, visit
from tests.tiny_tree import CLIPS, SIZE, VARIANTS, write_tiny_tree
from tests.toy import toy_face_arrays

ROOT = Path(__file__).parents[2]


def _picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (1700, 10)).save(file, "png")
    return file.getvalue()


PIXEL = _picture()  # in place of every figure


def inputs_of(root: Path) -> PageInputs:
    data, reports = root / "data", root / "reports"
    return PageInputs(
        reports=reports,
        label_quality=reports / "label_quality.json",
        label_sheet=reports / "label_sheet.png",
        verification=reports / "verification.json",
        face_model=data / "face_model.h5",
        labels=data / "labels",
        benchmarks=data / "benchmarks",
        predictions=data / "predictions",
    )


def write(root: Path) -> Path:
    params = load_params(ROOT / "params.yaml")
    output = root / "reports/page"
    write_page(
        inputs_of(root),
        output,
        profile="smoke",
        camera=params.camera.model_copy(update={"crop_size": SIZE}),
        benchmarks=params.benchmarks,
        evaluate=params.evaluate,
        regressor=params.regressor,
        variants=VARIANTS,
    )
    return output


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    write_tiny_tree(root, toy_face_arrays())
    (root / "reports/figures").mkdir()
    for caption in (*PAPER_FIGURES, *CURVES, FACE_MODEL):
        (root / "reports/figures" / caption.file).write_bytes(PIXEL)
    return root


@pytest.fixture(scope="module")
def page(root: Path) -> Path:
    return write(root)


class Links(HTMLParser):
    """Collects what a page refers to, and pictures without words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.without_words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [value for name in ("src", "href") if (value := values.get(name))]
        if tag == "img" and not values.get("alt"):
            self.without_words.append(values.get("src") or "")


def test_the_page_shows_tables_figures_labels_check_and_faces(page: Path) -> None:
    text = (page / "index.html").read_text()
    for words in (
        "Table 1: colour error on the synthetic test photographs",
        "Figure 7: examples",
        "MoFA and Genova et al.: not built",
        "face iou</td><td>0.951",
        "87.5 % of the pairs",
        "curve: 0.944",
        "190 pairs of photographs of 7 people",
        "<strong>FAILED</strong>: 1 worse, 3 same",
        "astronaut (real photograph)",
        "person 000000 (synthetic photograph)",
        "2 synthetic, 1 real; 1 rejected",
        "synthetic twin",
        "cooperative, subject 01",
        "the regressor began with</td><td>a supervised warm start on synthetic photographs",
    ):
        assert words in text, words


@pytest.mark.parametrize("clip", CLIPS)
def test_scans_show_the_errors_of_every_compared_method(page: Path, clip: str) -> None:
    text = (page / f"scans/{clip}.html").read_text()
    assert all(f"{title}: " in text for title in ("ours", "WSL control", "mean face"))


def test_everything_the_page_refers_to_lies_beside_it(page: Path) -> None:
    links = Links((page / "index.html").read_text())
    files = [link for link in links.links if not link.startswith(("#", "data:"))]
    assert len(files) > 15
    assert all((page / file).is_file() for file in files)
    assert links.without_words == []


def test_nothing_needs_a_network(page: Path) -> None:
    index = (page / "index.html").read_text()
    assert "http:" not in index and "https:" not in index
    viewer = (page / "faces/000002.html").read_text()
    assert "webgl2" in viewer
    assert not re.findall(r"<script[^>]+src=|<link[^>]+href=\"(?!data:)", viewer)


@needs_browser
def test_a_browser_shows_the_page_without_a_complaint(page: Path, tmp_path: Path) -> None:
    seen = visit(page / "index.html", tmp_path, width=1200, height=3000)
    assert seen.messages == []
    right_half = seen.screenshot[500:1500, 700:]  # where the first viewer stands
    assert right_half.std() > 20


def test_the_papers_tables_stand_first_and_others_are_folded(tmp_path: Path) -> None:
    for name, title in (
        ("table1_pixel_error", "**Table 1: colour.**"),
        ("table1_pixel_error_intervals", "**Table 1: intervals.**"),
        ("table1_pixel_error_by_yaw", "**Table 1, by yaw.**"),
        ("table10_extra", "# Table 10"),
        ("skin_tones", "**Beyond the paper: by skin tone.**"),
        ("untitled_numbers", "| a |"),
    ):
        (tmp_path / f"{name}.md").write_text(f"{title}\n\n| x |\n|---|\n| {name} |\n")
    tables = page_tables(tmp_path)
    assert ["Table 1: colour" in table.html for table in tables.of_paper] == [True, False]
    assert [one.title for one in tables.of_paper[0].more] == ["Table 1: intervals", "Table 1, by yaw"]
    assert "intervals." not in tables.of_paper[0].more[0].html
    assert [one.title for one in tables.beyond] == ["By skin tone", "Untitled numbers"]
    assert "<td>a</td>" in tables.beyond[1].html


def test_the_same_data_give_the_same_bytes(root: Path, page: Path) -> None:
    def digests() -> dict[str, str]:
        files = sorted(path for path in page.rglob("*") if path.is_file())
        return {str(path.relative_to(page)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = digests()
    write(root)
    assert digests() == before


def test_a_diverged_full_model_still_gives_a_page(tmp_path: Path) -> None:
    write_tiny_tree(tmp_path, toy_face_arrays(), people=2)
    (tmp_path / "reports/figures").mkdir()
    for caption in (*PAPER_FIGURES, *CURVES, FACE_MODEL):
        (tmp_path / "reports/figures" / caption.file).write_bytes(PIXEL)
    path = tmp_path / "data/predictions/full/coefficients.parquet"
    rows = pd.read_parquet(path)
    rows["shape"] = [np.full_like(one, np.nan) for one in rows["shape"]]
    rows.to_parquet(path)
    text = (write(tmp_path) / "index.html").read_text()
    assert "there is no mesh" in text and 'src="faces/000001.html"' not in text


def test_without_known_people_held_out_the_page_says_so(tmp_path: Path) -> None:
    write_tiny_tree(tmp_path, toy_face_arrays(), people=2)
    (tmp_path / "reports/figures").mkdir()
    for caption in (*PAPER_FIGURES, *CURVES, FACE_MODEL):
        (tmp_path / "reports/figures" / caption.file).write_bytes(PIXEL)
    write_verification(tmp_path / "reports/verification.json", Verification(math.nan, math.nan, 0, 0, []))
    text = (write(tmp_path) / "index.html").read_text()
    assert "Not measured: the held-out photographs" in text and "verification.png" not in text


@pytest.mark.parametrize(
    "missing",
    ["check.md", "label_quality.json", "label_sheet.png", "verification.json", "figures/face_model.png", "tables"],
)
def test_a_missing_report_is_named(root: Path, missing: str) -> None:
    path = root / "reports" / missing
    hidden = path.with_name("hidden")
    path.rename(hidden)
    try:
        with pytest.raises(FileNotFoundError, match=path.name.replace(".", r"\.")):
            write(root)
    finally:
        hidden.rename(path)


def test_meshes_keep_millimetres_colours_and_topology(tmp_path: Path) -> None:
    model = FaceModel(toy_face_arrays())
    write_meshes(tmp_path, "face", model, neutral_coefficients(model))
    in_mm = trimesh.load(tmp_path / "face.obj", process=False, maintain_order=True)
    in_metres = trimesh.load(tmp_path / "face.glb", process=False, force="mesh")
    expected = model.mean_shape.numpy()
    np.testing.assert_allclose(in_mm.vertices, expected, atol=1e-4)
    np.testing.assert_allclose(np.ptp(in_metres.vertices, axis=0), np.ptp(expected, axis=0) / 1000, atol=1e-5)
    assert len(in_mm.faces) == len(in_metres.faces) == len(model.triangles)
    assert len(np.unique(in_mm.visual.vertex_colors, axis=0)) > 2


def test_markdown_tables_become_html_and_foreign_tags_do_not() -> None:
    html = html_of("# Title\n\nSome **bold** `code` <b>\n\n| a | b |\n|---|---:|\n| x | not built |\n")
    assert "<h3>Title</h3>" in html
    assert "<p>Some <strong>bold</strong> <code>code</code> &lt;b&gt;</p>" in html
    assert "<th>a</th>" in html
    assert "<td>x</td><td class=muted>not built</td>" in html
