"""Archives of photographs: read in place, whatever is wrong with them becomes a row."""

import gzip
import io
import pickle
import tarfile
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.photographs.digests import content_digests
from pipelines.photographs.found import FoundFile
from pipelines.photographs.sources.layouts import found_files
from tests.small_pictures import LIMITS, identities, reasons, small_jpeg

NAMES = ("anna/1.jpg", "anna/2.jpg", "ben/1.jpg")
PICTURES = {name: small_jpeg(seed) for seed, name in enumerate(NAMES)}
MODES = {
    "faces.tar": "w",
    "faces.tar.gz": "w:gz",
    "faces.tgz": "w:gz",
    "faces.tar.bz2": "w:bz2",
    "faces.tar.xz": "w:xz",
}


def _tar(path: Path, contents: Mapping[str, bytes], *others: tarfile.TarInfo) -> Path:
    with tarfile.open(path, MODES[path.name]) as tar:
        for name, content in contents.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
        for header in others:
            tar.addfile(header)
    return path


def _zip(path: Path, contents: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def _archive(path: Path, contents: Mapping[str, bytes]) -> Path:
    return _zip(path, contents) if path.suffix == ".zip" else _tar(path, contents)


def _files(path: Path) -> list[FoundFile]:
    return found_files(path, "auto")


@pytest.mark.parametrize("name", ["faces.zip", *MODES])
def test_every_kind_of_archive_gives_its_pictures_and_writes_nothing(tmp_path: Path, name: str) -> None:
    contents = {"./anna/1.jpg": PICTURES["anna/1.jpg"], **PICTURES, "__MACOSX/._1.jpg": b"x", ".hidden/1.jpg": b"x"}
    del contents["anna/1.jpg"]
    files = _files(_archive(tmp_path / name, contents))
    assert identities(files) == {"anna/1.jpg": "anna", "anna/2.jpg": "anna", "ben/1.jpg": "ben"}
    assert {file.name: file.open().read() for file in files} == PICTURES
    assert reasons(files) == dict.fromkeys(NAMES, "")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["faces.zip", "faces.tar.gz"])
def test_a_top_folder_that_holds_everything_is_no_identity(tmp_path: Path, name: str) -> None:
    files = _files(_archive(tmp_path / name, {f"faces/{key}": value for key, value in PICTURES.items()}))
    assert identities(files) == {"faces/anna/1.jpg": "anna", "faces/anna/2.jpg": "anna", "faces/ben/1.jpg": "ben"}
    flat = _files(_archive(tmp_path / name, {"faces/1.jpg": b"1", "faces/2.jpg": b"2"}))
    assert identities(flat) == {"faces/1.jpg": "", "faces/2.jpg": ""}
    beside = _files(_archive(tmp_path / name, {"faces/1.jpg": b"1", "2.jpg": b"2"}))
    assert identities(beside) == {"faces/1.jpg": "faces", "2.jpg": ""}


@pytest.mark.parametrize("name", ["faces.zip", "faces.tar"])
@pytest.mark.parametrize("unsafe", ["/etc/1.jpg", "../1.jpg", "anna/../../1.jpg", "..\\1.jpg", "C:1.jpg"])
def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str, unsafe: str) -> None:
    files = _files(_archive(tmp_path / name, {**PICTURES, unsafe: small_jpeg(9)}))
    assert reasons(files) == {**dict.fromkeys(NAMES, ""), unsafe: "unsafe name: leads out of the archive"}


def test_links_and_devices_in_a_tar_archive_are_refused(tmp_path: Path) -> None:
    headers = {kind: tarfile.TarInfo(f"{number}.jpg") for number, kind in enumerate((b"1", b"2", b"3", b"6"))}
    for kind, header in headers.items():
        header.type = kind
        header.linkname = "/etc/passwd" if kind in b"12" else ""
    found = reasons(_files(_tar(tmp_path / "faces.tar", PICTURES, *headers.values())))
    assert [found[f"{number}.jpg"] for number in range(4)] == [
        *["a link, not a file"] * 2, *["a device or another special file"] * 2
    ]  # fmt: skip


def test_links_and_encrypted_files_and_other_methods_in_a_zip_archive_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.jpg", small_jpeg(1))
        archive.writestr("bzip2.jpg", small_jpeg(2), zipfile.ZIP_BZIP2)
        archive.writestr("secret.jpg", small_jpeg(3))
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the flags of the last entry in the list at the end
    path.write_bytes(content)
    assert reasons(_files(path)) == {
        "link.jpg": "a link, not a file",
        "good.jpg": "",
        "bzip2.jpg": "compression method 12, only stored and deflated files are read",
        "secret.jpg": "encrypted",
    }


@pytest.mark.parametrize("name", ["faces.zip", "faces.tar.gz"])
def test_a_decompression_bomb_is_refused_by_its_declared_size(tmp_path: Path, name: str) -> None:
    path = _archive(tmp_path / name, {"bomb.jpg": bytes(60_000_000), **PICTURES})
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    files = _files(path)
    found, digests = reasons(files), content_digests(files, LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == {"bomb.jpg": "too large: 60.0 MB, at most 8 MB are read", **dict.fromkeys(NAMES, "")}
    assert "60000000 bytes" in digests
    assert peak < 10_000_000  # bytes


def test_a_decompression_bomb_that_declares_a_small_size_is_read_no_further(tmp_path: Path) -> None:
    path = _zip(tmp_path / "faces.zip", {"bomb.jpg": bytes(60_000_000)})
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    tracemalloc.start()
    found = reasons(_files(path))["bomb.jpg"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == "broken picture: Bad CRC-32 for file 'bomb.jpg'"
    assert peak < 10_000_000  # bytes


@pytest.mark.parametrize("compressed", [False, True])
def test_of_a_tar_archive_that_is_cut_off_the_beginning_is_kept(tmp_path: Path, compressed: bool) -> None:
    path = _tar(tmp_path / "faces.tar", PICTURES)
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset_data + 100])
    if compressed:
        path = tmp_path / "faces.tar.gz"
        path.write_bytes(gzip.compress((tmp_path / "faces.tar").read_bytes())[:-8])
    found = reasons(_files(path))
    assert [found[name] for name in NAMES[:2]] == ["", ""]
    assert found["ben/1.jpg"].startswith("broken picture: ")
    assert found[path.name].startswith("the archive is cut off or damaged after 3 files: ")
    assert len(found) == 4


def test_a_tar_archive_that_is_cut_off_between_two_files_says_so(tmp_path: Path) -> None:
    path = _tar(tmp_path / "faces.tar", PICTURES)
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset])
    found = reasons(_files(path))
    assert found == {
        **dict.fromkeys(NAMES[:2], ""),
        "faces.tar": "the archive is cut off or damaged after 2 files: no end mark",
    }


def test_a_damaged_header_says_so(tmp_path: Path) -> None:
    path = _tar(tmp_path / "faces.tar", PICTURES)
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    content = bytearray(path.read_bytes())
    content[last.offset : last.offset + 20] = b"?" * 20
    path.write_bytes(content)
    assert reasons(_files(path))["faces.tar"] == "the archive is cut off or damaged after 2 files: no end mark"


def test_headers_that_promise_gigabytes_or_less_than_nothing_are_not_followed(tmp_path: Path) -> None:
    for kind, size, problem in (
        (b"L", 1 << 33, "a header of 8589934592 bytes"),
        (b"0", -1536, "a file of -1536 bytes"),
    ):
        header = tarfile.TarInfo("long.jpg")
        header.type, header.size = kind, size
        path = _tar(tmp_path / "faces.tar", PICTURES)
        good = path.read_bytes()
        end = len(good.rstrip(b"\0")) + 511 & ~511
        path.write_bytes(good[:end] + header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
        found = reasons(_files(path))
        assert found["faces.tar"] == f"the archive is cut off or damaged after 3 files: {problem}"
        assert [found[name] for name in NAMES] == [""] * 3


@pytest.mark.parametrize("name", ["faces.zip", "faces.tar", "faces.tar.gz"])
def test_what_is_no_archive_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not an archive at all" * 100)
    with pytest.raises(ValueError, match=rf"{name}: expected a (zip|tar) archive"):
        _files(tmp_path / name)


def test_a_zip_archive_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    path = _zip(tmp_path / "faces.zip", PICTURES)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="was the file copied or downloaded completely"):
        _files(path)


def test_an_empty_archive_lists_nothing(tmp_path: Path) -> None:
    assert _files(_tar(tmp_path / "faces.tar", {})) == _files(_zip(tmp_path / "faces.zip", {})) == []


def test_a_name_that_comes_twice_is_refused_under_another_key(tmp_path: Path) -> None:
    path = tmp_path / "faces.tar"
    with tarfile.open(path, "w") as tar:
        for seed in (1, 2):
            header = tarfile.TarInfo("1.jpg")
            header.size = len(small_jpeg(seed))
            tar.addfile(header, io.BytesIO(small_jpeg(seed)))
    first, second = _files(path)
    assert (first.name, first.refusal) == (second.name, "") == ("1.jpg", "")
    assert second.refusal == "the source has this name more than once"
    assert first.key != second.key


@pytest.mark.parametrize("name", ["faces.zip", *MODES])
def test_members_can_be_sent_to_other_processes_and_read_in_any_order(tmp_path: Path, name: str) -> None:
    files = pickle.loads(pickle.dumps(_files(_archive(tmp_path / name, PICTURES))))
    assert {file.name: file.open().read() for file in (*files[::-1], files[1])} == PICTURES


@pytest.mark.parametrize("name", ["faces.zip", "faces.tar", "faces.tar.gz"])
def test_an_archive_that_has_changed_is_opened_again(tmp_path: Path, name: str) -> None:
    before = _files(_archive(tmp_path / name, {"1.jpg": b"before"}))[0].open().read()
    after = _files(_archive(tmp_path / name, {"0.jpg": bytes(700), "1.jpg": b"after"}))[1].open().read()
    assert (before, after) == (b"before", b"after")


@pytest.mark.parametrize("name", ["faces.zip", "faces.tar.gz"])
def test_the_digest_of_a_member_is_that_of_its_content(tmp_path: Path, name: str) -> None:
    few = content_digests(_files(_archive(tmp_path / name, PICTURES)), LIMITS)
    more = content_digests(_files(_archive(tmp_path / name, {"0.jpg": b"0", **PICTURES})), LIMITS)
    assert few == more[1:]
    assert len(set(more)) == 4
