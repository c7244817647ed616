"""Photographs of one's own: whatever lies in the folder gets a row, and nothing stops the run."""

import io
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from models.segments import SEGMENT_INDEX
from pipelines.face_model_file import save_face_model
from pipelines.params import PhotographsParams
from pipelines.photographs.collect import collect_photographs
from pipelines.shards import ShardReader, decode, read_rows, sha256_of, verify
from tests.collecting_process import photographs_params
from tests.small_pictures import SIDE, put, small_jpeg, small_picture
from tests.toy import toy_face_arrays


def _collect(folder: Path, params: PhotographsParams, output: str = "output") -> pd.DataFrame:
    """Rows by name."""
    face_model = folder / "face_model.h5"
    if not face_model.exists():
        save_face_model(face_model, toy_face_arrays())
    target = folder / output
    collect_photographs(
        face_model, target / "photographs", target / "truth", params=params, distance_mm=1000.0, memo=target / "memo"
    )
    return read_rows(target / "photographs").set_index("name")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    small_picture(0).save(folder / "good.jpg")
    return folder


def _stored(tmp_path: Path, key: str) -> np.ndarray:
    return decode(ShardReader(tmp_path / "output" / "photographs").read(key, "jpg"))


def _reason(tmp_path: Path, source: Path, name: str, **changes: Any) -> str:
    rows = _collect(tmp_path, photographs_params(source, **changes))
    row = rows.loc[name]
    assert row.status == "rejected"
    assert row.split == ""
    assert row.key not in ShardReader(tmp_path / "output" / "photographs")
    assert rows.loc["good.jpg"].status == "kept"
    return str(row.reason)


def test_text_named_as_a_picture(tmp_path: Path, source: Path) -> None:
    (source / "text.jpg").write_text("not a picture at all")
    assert _reason(tmp_path, source, "text.jpg") == "not a picture"


def test_empty_file(tmp_path: Path, source: Path) -> None:
    (source / "empty.png").write_bytes(b"")
    assert _reason(tmp_path, source, "empty.png") == "empty file"


def test_truncated_picture(tmp_path: Path, source: Path) -> None:
    buffer = io.BytesIO()
    small_picture(1, (200, 200)).save(buffer, "JPEG")
    (source / "half.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    reason = _reason(tmp_path, source, "half.jpg")
    assert reason.startswith("broken picture: ")
    assert str(tmp_path) not in reason


def test_hundred_megapixels_are_rejected_by_their_header(tmp_path: Path, source: Path) -> None:
    # The header promises 40,000 × 40,000 pixels, there is no data: decoding would say "broken", not "too large".
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    idat = b"IDAT" + zlib.compress(b"")
    data += struct.pack(">I", len(idat) - 4) + idat + struct.pack(">I", zlib.crc32(idat))
    (source / "bomb.png").write_bytes(data)
    reason = _reason(tmp_path, source, "bomb.png", maximum_megapixels=64.0)
    assert reason == "too large: 1600.0 megapixels, at most 64 are read"


def test_small_picture(tmp_path: Path, source: Path) -> None:
    small_picture(2, (63, 90)).save(source / "small.png")
    assert _reason(tmp_path, source, "small.png") == "too small: 63 x 90 px, at least 64 px a side are needed"


def test_duplicate_names_the_first_one_in_any_encoding(tmp_path: Path, source: Path) -> None:
    Image.open(source / "good.jpg").save(source / "same.png")
    assert _reason(tmp_path, source, "same.png") == "duplicate of good.jpg"


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "CMYK", "P", "1", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(tmp_path: Path, source: Path, mode: str) -> None:
    picture = small_picture(3)
    grey = np.asarray(picture.convert("L"))
    if mode == "I;16":
        converted = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "I":
        converted = Image.fromarray(grey.astype(np.int32) * 257)
    elif mode == "F":
        converted = Image.fromarray(grey.astype(np.float32) / np.float32(grey.max()))
    else:
        converted = picture.convert(mode)
    name = "picture.tif" if mode in ("CMYK", "I", "F") else "picture.png"
    converted.save(source / name)
    row = _collect(tmp_path, photographs_params(source)).loc[name]
    assert row.status == "kept"
    stored = _stored(tmp_path, row.key).astype(float)
    assert stored.shape == (SIDE, SIDE, 3)
    expected = np.asarray(converted.convert("RGB") if mode in ("CMYK", "P", "1") else picture).astype(float)
    if mode in ("L", "LA", "I;16", "I", "F"):
        scale = 255 / grey.max() if mode == "F" else 1.0
        expected = np.repeat(grey[..., None] * scale, 3, axis=2)
    tolerance = 12 if mode in ("P", "1") else 4  # JPEG blurs dithering
    assert np.abs(stored - expected).mean() < tolerance


def test_transparent_parts_become_white(tmp_path: Path, source: Path) -> None:
    Image.new("RGBA", (SIDE, SIDE), (10, 200, 30, 0)).save(source / "glass.png")
    row = _collect(tmp_path, photographs_params(source)).loc["glass.png"]
    assert _stored(tmp_path, row.key).min() > 250


def test_animation_gives_its_first_frame(tmp_path: Path, source: Path) -> None:
    red, blue = Image.new("RGB", (SIDE, SIDE), (220, 0, 0)), Image.new("RGB", (SIDE, SIDE), (0, 0, 220))
    red.save(source / "moving.gif", save_all=True, append_images=[blue])
    row = _collect(tmp_path, photographs_params(source)).loc["moving.gif"]
    assert np.abs(_stored(tmp_path, row.key).mean(axis=(0, 1)) - [220, 0, 0]).max() < 6


def test_exif_rotation_is_applied(tmp_path: Path, source: Path) -> None:
    sideways = np.zeros((SIDE, 2 * SIDE, 3), np.uint8)
    sideways[:, :SIDE] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise: what was left comes to the top
    Image.fromarray(sideways).save(source / "turned.jpg", exif=exif)
    row = _collect(tmp_path, photographs_params(source)).loc["turned.jpg"]
    assert (row.width, row.height) == (SIDE, 2 * SIDE)
    stored = _stored(tmp_path, row.key)
    assert stored[: SIDE // 2].mean() > 250 > 5 > stored[-SIDE // 2 :].mean()


def test_large_pictures_are_shrunk(tmp_path: Path, source: Path) -> None:
    small_picture(4, (900, 600)).save(source / "large.jpg")
    row = _collect(tmp_path, photographs_params(source)).loc["large.jpg"]
    assert (row.width, row.height) == (300, 200)
    assert np.abs(_stored(tmp_path, row.key).astype(float) - np.asarray(small_picture(4, (300, 200)))).mean() < 6


def test_names_are_relative_and_folders_are_identities(tmp_path: Path, source: Path) -> None:
    for number, name in enumerate(("anna/1.jpg", "anna/2.jpg", "set/ben/1.jpg", ".hidden/1.jpg", "ähm ü.jpg")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        small_picture(10 + number).save(source / name)
    rows = _collect(tmp_path, photographs_params(source))
    assert dict(rows.identity[~rows.synthetic]) == {
        "anna/1.jpg": "anna", "anna/2.jpg": "anna", "good.jpg": "", "set/ben/1.jpg": "set/ben", "ähm ü.jpg": "",
    }  # fmt: skip
    assert rows.loc["anna/1.jpg"].split == rows.loc["anna/2.jpg"].split
    assert rows.key.str.fullmatch("[0-9A-Za-z_-]+").all()
    assert rows.key.is_unique


def test_a_key_stays_when_other_files_come(tmp_path: Path, source: Path) -> None:
    before = _collect(tmp_path, photographs_params(source)).loc["good.jpg"].key
    small_picture(20).save(source / "another.jpg")
    assert _collect(tmp_path, photographs_params(source), "again").loc["good.jpg"].key == before


def test_no_photograph_left_is_an_error_with_the_reasons(tmp_path: Path, source: Path) -> None:
    (source / "good.jpg").write_text("no")
    (source / "second.jpg").write_text("no")
    with pytest.raises(ValueError, match=r"no photograph left .*: 2 x not a picture"):
        _collect(tmp_path, photographs_params(source, extra=("astronaut",)))
    assert (~read_rows(tmp_path / "output" / "photographs").synthetic).sum() == 3


def test_a_missing_folder_and_a_missing_extra_are_errors(tmp_path: Path, source: Path) -> None:
    with pytest.raises(ValueError, match="'synthetic', a folder"):
        _collect(tmp_path, photographs_params(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"photographs\.extra: .*nobody\.jpg"):
        _collect(tmp_path, photographs_params(source, extra=("nobody.jpg",)))


def test_extra_photographs_are_in_a_split_of_their_own(tmp_path: Path, source: Path) -> None:
    small_picture(30).save(tmp_path / "friend.jpg")
    rows = _collect(tmp_path, photographs_params(source, extra=("astronaut", str(tmp_path / "friend.jpg"))))
    assert dict(rows.split[~rows.synthetic]) == {"good.jpg": "train", "astronaut.png": "extra", "friend.jpg": "extra"}
    assert rows.loc["astronaut.png"].key == "astronaut"
    assert _stored(tmp_path, "astronaut").shape == (300, 300, 3)


def test_extra_photographs_of_one_name_stay_apart(tmp_path: Path, source: Path) -> None:
    for number, folder in enumerate(("a", "b", "c")):
        (tmp_path / folder).mkdir()
        small_picture(60 + min(number, 1)).save(tmp_path / folder / "me.jpg")
    paths = tuple(str(tmp_path / folder / "me.jpg") for folder in ("a", "b", "c", "a"))
    rows = _collect(tmp_path, photographs_params(source, extra=paths)).loc["me.jpg"]
    assert rows.key.nunique() == 3
    assert rows.reason.tolist() == ["", "", "duplicate of me.jpg"]


def test_a_folder_gets_synthetic_companions_that_stay_out_of_its_splits(tmp_path: Path, source: Path) -> None:
    rows = _collect(tmp_path, photographs_params(source, people=3))
    assert set(rows.split[rows.synthetic]) == {"companion-train", "companion-validation", "companion-test"}
    assert dict(rows.split[~rows.synthetic]) == {"good.jpg": "train"}
    truth = read_rows(tmp_path / "output" / "truth")
    assert truth.key.tolist() == rows.key[rows.synthetic].tolist()


def test_synthetic_photographs_have_a_truth_for_each(tmp_path: Path) -> None:
    rows = _collect(tmp_path, photographs_params("synthetic", extra=("astronaut",))).reset_index()
    truth = read_rows(tmp_path / "output" / "truth")
    synthetic = rows[rows.synthetic]
    assert truth.key.tolist() == synthetic.key.tolist()
    assert ShardReader(tmp_path / "output" / "truth").keys == synthetic.key.tolist()
    assert synthetic.groupby("identity").split.nunique().max() == 1
    assert synthetic.groupby("split").identity.nunique().to_dict() == {"test": 1, "train": 2, "validation": 1}
    assert rows.iloc[-1][["key", "split", "synthetic"]].tolist() == ["astronaut", "extra", False]


@pytest.mark.parametrize("kind", ["synthetic", "folder"])
def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path, source: Path, kind: str) -> None:
    for number in range(4):
        small_picture(40 + number).save(source / f"{number}.jpg")
    hashes = []
    for workers in (1, 2):
        output = tmp_path / f"workers{workers}"
        _collect(tmp_path, photographs_params(source if kind == "folder" else kind, workers=workers), output.name)
        verify(output / "photographs")
        hashes.append({path.relative_to(output): sha256_of(path) for path in output.rglob("*") if path.is_file()})
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) >= 6


def test_a_jpeg_whose_header_promises_gigapixels_is_rejected_undecoded(tmp_path: Path, source: Path) -> None:
    content = bytearray(small_jpeg(1))
    frame = content.index(b"\xff\xc0")  # marker, length (2), precision (1), height (2), width (2)
    content[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)
    (source / "bomb.jpg").write_bytes(content)
    reason = _reason(tmp_path, source, "bomb.jpg", maximum_megapixels=64.0)
    assert reason == "too large: 3600.0 megapixels, at most 64 are read"


def test_a_file_larger_than_any_photograph_is_rejected_unread(tmp_path: Path, source: Path) -> None:
    with (source / "film.jpg").open("wb") as file:
        file.truncate(9_000_000)  # a hole, which takes no space
    assert _reason(tmp_path, source, "film.jpg") == "too large: 9.0 MB, at most 8 MB are read"


def test_a_folder_and_an_archive_of_it_give_the_same_photographs(tmp_path: Path, source: Path) -> None:
    for seed, name in enumerate(("anna/1.jpg", "anna/2.jpg", "ben/1.jpg"), start=1):
        put(source / name, seed=seed)
    with tarfile.open(tmp_path / "faces.tar.gz", "w:gz") as tar:
        for path in sorted(source.rglob("*.jpg")):
            tar.add(path, path.relative_to(source))
    from_folder = _collect(tmp_path, photographs_params(source), "folder")
    from_archive = _collect(tmp_path, photographs_params(tmp_path / "faces.tar.gz"), "archive")
    pd.testing.assert_frame_equal(from_folder, from_archive)
    shards = [sorted((tmp_path / name / "photographs").glob("*.tar")) for name in ("folder", "archive")]
    assert [path.read_bytes() for path in shards[0]] == [path.read_bytes() for path in shards[1]]


def test_the_number_of_test_photographs_is_that_of_the_source_and_not_of_its_companions(
    tmp_path: Path, source: Path
) -> None:
    for seed in range(1, 10):
        put(source / f"{seed}.jpg", seed=seed)
    rows = _collect(tmp_path, photographs_params(source, people=4, test_photographs=4))
    assert (rows.split == "test").sum() == 4
    assert rows[rows.split == "companion-test"].identity.nunique() == 1


def test_annotated_segments_lie_beside_the_synthetic_truth(tmp_path: Path) -> None:
    source = tmp_path / "LaPa"
    for number in range(2):
        put(source / f"train/images/{number}.jpg", seed=number)
    classes = np.full((SIDE, SIDE), 10, np.uint8)
    (source / "train/labels").mkdir()
    Image.fromarray(classes).save(source / "train/labels/0.png")
    rows = _collect(tmp_path, photographs_params(source))
    truth = ShardReader(tmp_path / "output" / "truth")
    annotated, bare = rows.loc["train/images/0.jpg"].key, rows.loc["train/images/1.jpg"].key
    assert annotated in truth and bare not in truth
    assert (decode(truth.read(annotated, "segments.png")) == SEGMENT_INDEX["hair"]).all()
    assert annotated not in set(read_rows(tmp_path / "output" / "truth").key)


def test_a_listed_file_that_is_missing_does_not_stop_the_run(tmp_path: Path, source: Path) -> None:
    put(source / "faces.csv", b"path\ngood.jpg\nnowhere.jpg\n")
    rows = _collect(tmp_path, photographs_params(source / "faces.csv"))
    assert rows.loc["good.jpg"].status == "kept"
    assert (rows.loc["nowhere.jpg"].status, rows.loc["nowhere.jpg"].reason) == ("rejected", "missing file")
