"""What new, lost and interrupted photographs cost: only the pieces and shards that they fall into."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.segments import SEGMENT_INDEX
from pipelines.photographs import pieces
from pipelines.photographs.chunks import content_defined_runs
from pipelines.photographs.reading import ReadFile, read_file
from pipelines.shards import ShardReader, decode, read_rows, verify
from pipelines.synthetic.generate import TRUTH_COLUMNS, TakenPhotograph
from tests.closure import import_closure
from tests.collecting_process import MEMO, PHOTOGRAPHS, TRUTH, collect, write_face_model

ROOT = Path(__file__).parents[2]
_FORMATS = {".zip": "zip", ".gz": "gztar"}
NAMES = [f"person-{person:02d}/{number}.png" for person in range(20) for number in range(3)]


class Decoder:
    """Counts the files that are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        monkeypatch.setattr(pieces, "read_file", self._read)

    def _read(self, limits: pieces.DecodingLimits, file: pieces.FoundFile) -> ReadFile:
        self.names.append(file.name)
        return read_file(limits, file)

    def taken(self) -> list[str]:
        """The names since the last call."""
        names, self.names = self.names, []
        return names


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Decoder:
    return Decoder(monkeypatch)


@pytest.fixture(scope="module")
def _collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("collected")
    write_face_model(root)
    for number, name in enumerate(NAMES):
        _save(root / "source" / name, number)
    collect(root, root / "source")
    return root


@pytest.fixture
def collected(_collected: Path, tmp_path: Path) -> Path:
    """A folder of sixty photographs of one colour each, collected."""
    return shutil.copytree(_collected, tmp_path / "root")


def _save(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), (number, 255 - number, 2 * number % 256)).save(path)


def _shards(root: Path) -> set[bytes]:
    return {shard.read_bytes() for shard in (root / PHOTOGRAPHS).glob("shard-*.tar")}


def _contents(root: Path) -> dict[str, bytes]:
    files = (file for folder in (PHOTOGRAPHS, TRUTH) for file in (root / folder).iterdir())
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def _fresh(root: Path, elsewhere: Path) -> dict[str, bytes]:
    """What collecting the same source gives without a memo."""
    shutil.copy(root / "face_model.h5", elsewhere)
    collect(elsewhere, root / "source")
    return _contents(elsewhere)


def test_a_second_run_decodes_nothing_and_writes_the_same(collected: Path, decoder: Decoder) -> None:
    before = _contents(collected)
    collect(collected, collected / "source")
    assert decoder.taken() == []
    assert _contents(collected) == before


def test_without_the_memo_everything_is_decoded_to_the_same_bytes(collected: Path, decoder: Decoder) -> None:
    before = _contents(collected)
    shutil.rmtree(collected / MEMO)
    collect(collected, collected / "source")
    assert decoder.taken() == NAMES
    assert _contents(collected) == before


@pytest.mark.parametrize("name", ["person-07/1a.png", "person-30/1.png", "a.png"])
def test_a_new_file_costs_one_piece_and_changes_one_shard(
    collected: Path, decoder: Decoder, tmp_path: Path, name: str
) -> None:
    before = _shards(collected)
    _save(collected / "source" / name, 100)
    collect(collected, collected / "source")
    taken = decoder.taken()
    assert name in taken
    assert len(taken) <= 4  # pieces are about two long
    assert len(before - _shards(collected)) <= 1
    assert _contents(collected) == _fresh(collected, tmp_path)


def test_a_removed_file_costs_its_piece(collected: Path, decoder: Decoder, tmp_path: Path) -> None:
    before = _shards(collected)
    (collected / "source" / NAMES[30]).unlink()
    collect(collected, collected / "source")
    assert len(decoder.taken()) <= 4
    assert NAMES[30] not in read_rows(collected / PHOTOGRAPHS)["name"].tolist()
    assert len(before - _shards(collected)) <= 2
    assert _contents(collected) == _fresh(collected, tmp_path)


@pytest.mark.parametrize("name", ["faces.zip", "faces.tar.gz"])
def test_a_new_file_in_an_archive_costs_one_piece(collected: Path, decoder: Decoder, tmp_path: Path, name: str) -> None:
    _pack(collected / "source", tmp_path / name)
    collect(collected, tmp_path / name)
    assert decoder.taken() == []  # the same names and bytes as in the folder
    _save(collected / "source" / "person-07/1a.png", 100)
    _pack(collected / "source", tmp_path / name)
    collect(collected, tmp_path / name)
    taken = decoder.taken()
    assert "person-07/1a.png" in taken
    assert len(taken) <= 4


def test_a_changed_annotation_is_seen(collected: Path, decoder: Decoder) -> None:
    source = collected / "LaPa"
    for number in range(8):
        _save(source / f"train/images/{number}.jpg", number)
        _annotate(source, number, class_number=1)
    collect(collected, source)
    decoder.taken()
    _annotate(source, 5, class_number=6)
    rows = collect(collected, source)
    taken = decoder.taken()
    assert "train/images/5.jpg" in taken
    assert len(taken) <= 4
    segments = decode(ShardReader(collected / TRUTH).read(rows.loc["train/images/5.jpg"].key, "segments.png"))
    assert (segments == SEGMENT_INDEX["nose"]).all()


def _pack(source: Path, archive: Path) -> None:
    shutil.make_archive(str(archive).removesuffix(".zip").removesuffix(".tar.gz"), _FORMATS[archive.suffix], source)


def _annotate(source: Path, number: int, *, class_number: int) -> None:
    path = source / f"train/labels/{number}.png"
    path.parent.mkdir(exist_ok=True)
    Image.new("L", (64, 64), class_number).save(path)


def test_changed_bytes_under_the_same_name_are_seen(collected: Path, decoder: Decoder) -> None:
    path = collected / "source" / NAMES[30]
    times = path.stat()
    path.write_bytes((collected / "source" / NAMES[31]).read_bytes())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    collect(collected, collected / "source")
    assert NAMES[30] in decoder.taken()
    rows = read_rows(collected / PHOTOGRAPHS).set_index("name")
    assert rows.loc[NAMES[31], "reason"] == f"duplicate of {NAMES[30]}"


def test_a_duplicate_in_an_unchanged_piece_is_left_out_and_comes_back(collected: Path, decoder: Decoder) -> None:
    """The first of two equal pictures arrives later than the second."""
    _save(collected / "source/a.png", 50)
    rows = collect(collected, collected / "source")
    assert NAMES[50] not in decoder.taken()
    assert rows.loc[NAMES[50], "reason"] == "duplicate of a.png"
    key = rows.loc[NAMES[50], "key"]
    assert key not in ShardReader(collected / PHOTOGRAPHS)
    (collected / "source/a.png").unlink()
    collect(collected, collected / "source")
    assert key in ShardReader(collected / PHOTOGRAPHS)
    verify(collected / PHOTOGRAPHS)


def test_more_people_are_added_without_taking_the_others_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def generate(face_model: Path, size: object, people: range) -> Iterator[TakenPhotograph]:
        taken.extend(people)
        return iter(
            [
                TakenPhotograph(f"{person:05d}-000", person, b"jpg", b"png", dict.fromkeys(TRUTH_COLUMNS, 0))
                for person in people
            ]
        )

    monkeypatch.setattr(pieces, "generate", generate)
    write_face_model(tmp_path)
    changes = {"photographs_per_person": 1, "keys_per_shard": 32}
    collect(tmp_path, "synthetic", people=100, **changes)
    assert taken == list(range(100))
    before = _shards(tmp_path)
    taken.clear()
    collect(tmp_path, "synthetic", people=101, **changes)
    assert taken == [100]
    assert len(before - _shards(tmp_path)) == 1
    assert ShardReader(tmp_path / PHOTOGRAPHS).keys == [f"{person:05d}-000" for person in range(101)]


def test_a_killed_collection_goes_on_where_it_was(collected: Path, decoder: Decoder, tmp_path: Path) -> None:
    shutil.rmtree(collected / MEMO)
    shutil.rmtree(collected / PHOTOGRAPHS)
    command = [sys.executable, "-m", "tests.collecting_process", str(collected), str(collected / "source")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(_entries(collected)) < 8 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = len(_entries(collected))
    assert 8 <= finished < len(NAMES) // 4, "killed too late to tell anything"
    assert not (collected / PHOTOGRAPHS).exists()
    collect(collected, collected / "source")
    assert 0 < len(decoder.taken()) < len(NAMES)
    assert not list((collected / MEMO).glob("partial-*"))
    assert _contents(collected) == _fresh(collected, tmp_path)


def _entries(root: Path) -> list[Path]:
    return list((root / MEMO).glob("[!p]*"))


def test_runs_hold_every_key_once_and_keep_to_their_lengths() -> None:
    keys = [f"key {number}" for number in range(5000)]
    runs = content_defined_runs(keys, 100)
    assert [index for run in runs for index in run] == list(range(5000))
    lengths = np.array([len(run) for run in runs])
    assert lengths[:-1].min() >= 25 and lengths.max() <= 200
    assert 75 < lengths.mean() < 125
    assert content_defined_runs([], 100) == []
    assert content_defined_runs(keys[:3], 1) == [range(0, 1), range(1, 2), range(2, 3)]


def test_new_keys_change_only_the_runs_they_fall_into() -> None:
    keys = [f"{person:03d}/{number:03d}" for person in range(500) for number in range(20)]
    before = _runs(keys)
    for person in range(0, 500, 25):
        new = [f"{person:03d}a/{number:03d}" for number in range(100)]
        assert len(before - _runs(sorted(keys + new))) <= 3


def _runs(keys: list[str]) -> set[tuple[str, ...]]:
    return {tuple(keys[run.start : run.stop]) for run in content_defined_runs(keys, 250)}


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("pipelines.synthetic.generate", pieces.code_of_generator()),
        ("pipelines.photographs.reading", pieces.code_of_reader()),
        ("pipelines.photographs.sources.layouts", pieces.code_of_reader()),
    ],
)
def test_fingerprints_cover_the_code_that_makes_a_photograph(module: str, code: list[str]) -> None:
    assert import_closure(module) <= {Path(file).relative_to(ROOT).as_posix() for file in code}
