"""Opens pages in headless Chromium, as a person would; no Python package is needed for that."""

import base64
import html
import io
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PROGRAM = next(filter(None, map(shutil.which, _NAMES)), None)
_SECONDS = 90
_MESSAGE = re.compile(r":CONSOLE[^\]]*\] (.*)")
_ANSWER = re.compile(r'data-answer="([^"]*)"')
# A square of the wanted size without the ball; a picture is taken at once, because what was drawn does not last.
_TO_PICTURES = """
canvas.style.cssText = "inset: auto; width: SIZEpx; height: SIZEpx";
ball.style.display = "none";
const answer = CHANGES.map((changes) => {
  state = Object.assign(initialState(), changes);
  draw();
  return canvas.toDataURL().split(",")[1];
}).join(" ");
"""

needs_browser = pytest.mark.skipif(
    _PROGRAM is None, reason=f"needs a browser: none of {', '.join(_NAMES)} is on the path"
)


class Visit(NamedTuple):
    """What a page did."""

    screenshot: NDArray[np.uint8]  # (H, W, 3)
    messages: list[str]  # on the console; errors among them


def visit(page: Path, scratch: Path, *, width: int = 900, height: int = 700, options: tuple[str, ...] = ()) -> Visit:
    """Open a page and look at it; what lies far below is loaded only when the window is high enough."""
    shot = scratch / "screenshot.png"
    shown = _run(page, scratch, f"--screenshot={shot}", f"--window-size={width},{height}", *options)
    return Visit(np.asarray(Image.open(shot).convert("RGB")), _MESSAGE.findall(shown.stderr))


def pictures_of(viewer: Path, scratch: Path, changes: Mapping[str, str], *, size: int) -> dict[str, NDArray[np.uint8]]:
    """What a viewer draws, (size, size, 4) each, after each of the named changes (JavaScript) to its first state."""
    script = _TO_PICTURES.replace("SIZE", str(size)).replace("CHANGES", f"[{', '.join(changes.values())}]")
    pictures = answer_of(viewer, scratch, script).split()
    return {name: _decoded(text) for name, text in zip(changes, pictures, strict=True)}


def answer_of(viewer: Path, scratch: Path, script: str) -> str:
    """What a script that runs inside a viewer leaves in its constant `answer`."""
    page = scratch / "asked.html"
    asked = f"<script>{script}\ndocument.body.dataset.answer = answer;</script></body>"
    page.write_text(viewer.read_text().replace("</body>", asked))
    dumped = _run(page, scratch, "--dump-dom")
    found = _ANSWER.search(dumped.stdout)
    assert found, f"the viewer gave no answer: {_MESSAGE.findall(dumped.stderr)}"
    return html.unescape(found[1])


def _decoded(text: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGBA"))


def _run(page: Path, scratch: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(_PROGRAM),
        "--headless=new",
        "--no-sandbox",  # containers run tests as root
        "--use-angle=swiftshader",  # WebGL without a graphics card
        "--enable-unsafe-swiftshader",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        "--v=0",
        "--virtual-time-budget=10000",
        f"--user-data-dir={scratch / 'profile'}",
        *options,
        page.resolve().as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
