"""The 3D viewer: what it draws first is what the pipeline's renderer draws, and what a person changes changes it."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from models.coefficients import Coefficients
from models.face_model import FaceModel
from models.icp import IcpSettings
from models.protocols import PROTOCOLS
from pipelines.reporting.artist import Artist, neutral_coefficients
from pipelines.reporting.clip_errors import (
    SCALE_MM,
    ClipErrors,
    clip_errors,
    error_choices,
    error_palette,
    shown_methods,
)
from pipelines.reporting.viewer.document import packed_light, write_viewer
from pipelines.reporting.viewer.faces import face_scene
from pipelines.reporting.viewer.packing import packed_choices, packed_colours, packed_points, packed_triangles
from pipelines.reporting.viewer.scans import scan_scene
from pipelines.shape_scoring import ShapeScoring
from tests.browser import answer_of, needs_browser, pictures_of, visit
from tests.tiny_tree import CAMERA, write_tiny_tree
from tests.toy import toy_face_arrays

SIZE = 224
METHODS = shown_methods(("full",))
# What a person does, without a person: a pointer that no hand holds cannot be captured.
BY_HAND = """
for (const element of [canvas, ball]) element.setPointerCapture = () => {};
const pointer = (element, kind, id, x, y, more) =>
  element.dispatchEvent(new PointerEvent(kind, { pointerId: id, clientX: x, clientY: y, ...more }));
const key = (element, name) => element.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
const steps = {
  drag: () => { pointer(canvas, "pointerdown", 1, 100, 100); pointer(canvas, "pointermove", 1, 150, 75);
                pointer(canvas, "pointerup", 1, 150, 75); pointer(canvas, "pointermove", 1, 300, 300); },
  shift: () => { pointer(canvas, "pointerdown", 1, 100, 100);
                 pointer(canvas, "pointermove", 1, 110, 100, { shiftKey: true });
                 pointer(canvas, "pointerup", 1, 110, 100); },
  pinch: () => { pointer(canvas, "pointerdown", 1, 100, 100); pointer(canvas, "pointerdown", 2, 200, 100);
                 pointer(canvas, "pointermove", 2, 300, 100);
                 pointer(canvas, "pointerup", 1, 100, 100); pointer(canvas, "pointerup", 2, 300, 100); },
  wheel: () => canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -200, cancelable: true })),
  keys: () => { key(canvas, "ArrowRight"); key(canvas, "ArrowUp"); key(canvas, "+"); key(canvas, "x"); },
  ball: () => { pointer(ball, "pointerdown", 1, 20, 20); pointer(ball, "pointermove", 1, 50, 20);
                pointer(ball, "pointerup", 1, 50, 20); key(ball, "ArrowDown"); },
  highlightOnly: () => { form.querySelector("[name=lampOnly]").click(); key(ball, "ArrowLeft"); },
  slider: () => { const input = document.getElementById("shininess"); input.value = 6;
                  input.dispatchEvent(new Event("input", { bubbles: true })); },
  layer: () => form.querySelectorAll("[name=layer]")[1].click(),
};
const seen = {};
for (const [name, step] of Object.entries(steps)) {
  form.querySelector("button").click();  // Reset
  step();
  seen[name] = { ...state, disabled: document.getElementById("shininess").disabled };
}
const answer = JSON.stringify(seen);
"""
STATES = {  # of the viewer, as JavaScript; layers by number
    "full": "{}",
    "diffuse": "{layer: 1}",
    "specular": "{layer: 2}",
    "shape": "{layer: 3}",
    "specular, light turned": "{layer: 2, lampTurn: {yaw: 60, pitch: 0}}",
    "diffuse, light turned": "{layer: 1, ambientTurn: {yaw: 60, pitch: 0}}",
    "from behind": "{face: {yaw: 180, pitch: 0}}",
    "dull": "{layer: 2, lamp: 0.25}",
}


@pytest.fixture(scope="module")
def artist() -> Artist:
    return Artist(FaceModel(toy_face_arrays()), CAMERA, SIZE)


@pytest.fixture(scope="module")
def face(artist: Artist) -> Coefficients:
    """A turned face with an open mouth in coloured light; everything that can be wrong is there."""
    generator = torch.Generator().manual_seed(3)
    neutral = neutral_coefficients(artist.model)
    coloured = 0.15 * torch.randn(1, 9, 3, generator=generator)
    return neutral._replace(
        shape=0.5 * torch.randn(neutral.shape.shape, generator=generator),
        expression=torch.tensor([[0.8, 0, 0, 0, 0]]),
        albedo=0.5 * torch.randn(neutral.albedo.shape, generator=generator),
        euler_angles=torch.tensor([[0.1, -0.3, 0.15]]),
        sh_coefficients=neutral.sh_coefficients + coloured,
        light_position=torch.tensor([[[-250.0, 300.0, 400.0]]]),
    )


@pytest.fixture(scope="module")
def viewer(artist: Artist, face: Coefficients, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("viewer") / "face.html"
    write_viewer(path, face_scene("a face", artist.model, face, CAMERA), CAMERA)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, artist: Artist) -> ClipErrors:
    root = tmp_path_factory.mktemp("tree")
    write_tiny_tree(root, toy_face_arrays(), people=2)
    scoring = ShapeScoring(root / "data/benchmarks/micc", artist.model, IcpSettings(10, 0.9))
    return clip_errors(scoring, root / "data/predictions", PROTOCOLS["paper"], tuple(METHODS))[0]


@pytest.fixture(scope="module")
def pictures(viewer: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return pictures_of(viewer, tmp_path_factory.mktemp("drawn"), STATES, size=SIZE)


@needs_browser
@pytest.mark.parametrize("layer", ["full", "diffuse", "specular", "shape"])
def test_the_first_frame_is_the_pipelines_picture(
    layer: str, pictures: dict[str, np.ndarray], artist: Artist, face: Coefficients
) -> None:
    drawn = artist.draw(face)
    assert drawn is not None
    expected = artist.clay(face) if layer == "shape" else getattr(drawn, layer)
    picture = pictures[layer] / 255
    shown = picture[..., 3] > 0.5
    assert (shown & drawn.coverage).sum() / (shown | drawn.coverage).sum() > 0.95  # the viewer's includes the mouth
    inside = (picture[..., 3] == 1) & drawn.coverage
    difference = np.abs(picture[..., :3] - expected)[inside]
    assert difference.mean() < 0.005  # a step of a picture is 0.004; only outlines differ more
    assert picture[inside][:, :3].std() > 0.02


def centre_of_brightness(picture: np.ndarray) -> float:
    """Column of the mean light of a picture."""
    bright = picture[..., :3].astype(float).sum(axis=(0, 2))
    return float((bright * np.arange(len(bright))).sum() / bright.sum())


@needs_browser
@pytest.mark.parametrize("layer", ["specular", "diffuse"])
def test_light_that_moves_to_the_right_brightens_the_right(layer: str, pictures: dict[str, np.ndarray]) -> None:
    moved = pictures[f"{layer}, light turned"]
    assert centre_of_brightness(moved) > centre_of_brightness(pictures[layer]) + 2


@needs_browser
def test_a_weaker_lamp_gives_a_duller_highlight(pictures: dict[str, np.ndarray]) -> None:
    assert pictures["dull"][..., :3].mean() < 0.7 * pictures["specular"][..., :3].mean()


@needs_browser
def test_a_turned_face_shows_the_inside_of_the_mask(pictures: dict[str, np.ndarray]) -> None:
    front, back = (one[one[..., 3] == 255][:, :3].mean() for one in (pictures["full"], pictures["from behind"]))
    assert back < 0.7 * front


@needs_browser
def test_hands_and_keys_turn_zoom_and_light(viewer: Path, tmp_path: Path) -> None:
    seen = json.loads(answer_of(viewer, tmp_path, BY_HAND))
    assert seen["drag"]["face"] == {"yaw": pytest.approx(20), "pitch": pytest.approx(-10)}
    assert seen["drag"]["zoom"] == 1
    assert seen["shift"]["shift"][0] > 0 and seen["shift"]["face"]["yaw"] == 0
    assert seen["pinch"]["zoom"] == pytest.approx(2) and seen["pinch"]["face"]["yaw"] == 0
    assert seen["wheel"]["zoom"] > 1.1
    assert seen["keys"]["face"] == {"yaw": 5, "pitch": -5} and seen["keys"]["zoom"] == pytest.approx(1.1)
    assert seen["ball"]["lampTurn"] == seen["ball"]["ambientTurn"] == {"yaw": 30, "pitch": 5}
    assert seen["ball"]["face"]["yaw"] == 0
    assert seen["highlightOnly"]["lampTurn"]["yaw"] == -5 and seen["highlightOnly"]["ambientTurn"]["yaw"] == 0
    assert seen["slider"]["shininess"] == pytest.approx(64)
    assert seen["layer"]["layer"] == 1 and seen["layer"]["disabled"] and not seen["drag"]["disabled"]


@needs_browser
def test_viewers_open_without_a_word_on_the_console(viewer: Path, clip: ClipErrors, tmp_path: Path) -> None:
    scan = tmp_path / "scan.html"
    write_viewer(scan, scan_scene("a scan", clip, METHODS), CAMERA)
    for page in (viewer, scan):
        seen = visit(page, tmp_path, width=500, height=700)
        assert seen.messages == []
        assert seen.screenshot[:400].std() > 20


@needs_browser
def test_without_webgl_the_viewer_says_so(viewer: Path, tmp_path: Path) -> None:
    page = tmp_path / "old.html"
    page.write_text(viewer.read_text().replace('getContext("webgl2"', 'getContext("nothing"'))
    with_words = visit(page, tmp_path, width=500, height=700)
    assert with_words.messages == []
    assert with_words.screenshot[200:].std() < 1 < with_words.screenshot[:200].std()


@needs_browser
def test_the_mean_face_is_further_off(clip: ClipErrors, tmp_path: Path) -> None:
    page = tmp_path / "scan.html"
    write_viewer(page, scan_scene("a scan", clip, METHODS), CAMERA)
    states = {"ours": "{layer: 0, unlit: true}", "mean face": "{layer: 1, unlit: true}"}
    ours, mean_face = pictures_of(page, tmp_path, states, size=SIZE).values()
    shown = (ours[..., 3] == 255) & (ours.max(axis=-1) - ours[..., :3].min(axis=-1) > 30)
    assert shown.mean() > 0.1
    assert ours[shown][:, 1].mean() < mean_face[shown][:, 1].mean()  # viridis: green grows with the error


def test_a_scan_has_a_layer_for_each_method_by_its_title(clip: ClipErrors) -> None:
    names = [layer.name for layer in scan_scene("a scan", clip, METHODS).layers]
    assert [name.split(":")[0] for name in names] == ["ours", "mean face", "scan"]


def test_errors_have_a_colour_each_and_unmeasured_points_are_grey(clip: ClipErrors) -> None:
    result = clip.results["full"]
    assert result is not None
    nothing_near = result._replace(points=result.points + 1000.0)
    assert (error_choices(clip.scan, nothing_near) == 255).all()
    far_off = result._replace(sides=(np.full_like(result.distances_mm, 2 * SCALE_MM),))
    assert set(error_choices(clip.scan, far_off)) <= {254, 255}
    assert len(error_palette()) == 256
    assert np.ptp(error_palette()[255]) < 1e-6


def test_points_and_colours_survive_the_packing() -> None:
    points = np.random.default_rng(0).normal(scale=80, size=(200, 3))
    packed = packed_points(points)
    whole = np.frombuffer(base64.b64decode(packed["data"]), "<u2").reshape(-1, 3)
    np.testing.assert_allclose(whole * packed["step"] + packed["low"], points, atol=0.01)
    colours = np.abs(points) / 100
    packed = packed_colours(colours)
    shares = np.frombuffer(base64.b64decode(packed["data"]), np.uint8).reshape(-1, 3) / 255
    np.testing.assert_allclose(packed["largest"] ** (1 / 2.2) * shares, colours ** (1 / 2.2), atol=0.01)


def test_large_meshes_have_longer_numbers() -> None:
    assert packed_triangles(np.array([[0, 1, 65535]]))["bits"] == 16
    large = packed_triangles(np.array([[0, 1, 65536]]))
    assert large["bits"] == 32
    assert np.frombuffer(base64.b64decode(large["data"]), "<u4").tolist() == [0, 1, 65536]


def test_shininess_of_regions_is_kept(artist: Artist, face: Coefficients) -> None:
    assert face_scene("a face", artist.model, face, CAMERA).gloss is None
    count = artist.model.region_count
    regional = face._replace(shininess=torch.linspace(10, 30, count)[None])
    gloss = face_scene("a face", artist.model, regional, CAMERA).gloss
    assert gloss is not None
    values = np.frombuffer(base64.b64decode(gloss["data"]), "<f4") * 20
    np.testing.assert_allclose(np.unique(values.round(3)), np.linspace(10, 30, count).round(3), atol=0.01)


def test_what_the_viewer_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 4 point lights, got 5"):
        packed_light(torch.zeros(9, 3), torch.zeros(5, 3), torch.zeros(5), shininess=1.0)
    with pytest.raises(ValueError, match="at most 256 colours, got 257"):
        packed_choices(np.zeros(3, int), np.zeros((257, 3)))


def test_a_viewer_is_one_small_file_that_names_no_other(viewer: Path, artist: Artist, face: Coefficients) -> None:
    text = viewer.read_text()
    assert not re.findall(r"https?:|<script[^>]+src=|<link[^>]+href=\"(?!data:)|\bimport\b|\bfetch\b", text)
    assert len(text) < 100_000
    data = re.search(r'<script id="scene"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert data and len(json.loads(data[1])["layers"]) == 4
    again = viewer.with_name("again.html")
    write_viewer(again, face_scene("a face", artist.model, face, CAMERA), CAMERA)
    assert again.read_bytes() == viewer.read_bytes()


def test_every_control_has_a_name(viewer: Path) -> None:
    text = viewer.read_text()
    for slider in ("shininess", "lamp", "ambient"):
        assert f'<label for="{slider}">' in text and f'id="{slider}"' in text
    assert text.count('tabindex="0"') == text.count('tabindex="0" role=') == 2
    assert len(re.findall(r"<(?:canvas|div id=\"ball\")[^>]+aria-label=", text)) == 2
