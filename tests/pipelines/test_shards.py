import errno
import json
import multiprocessing
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.shards import (
    MANIFEST,
    ShardReader,
    ShardWriter,
    decode,
    decoded,
    encode_jpeg,
    encode_png,
    read_rows,
    shard_name,
    verify,
    write_rows,
)

KEYS = [f"photo-{index}" for index in range(5)]


def _mask(index: int) -> np.ndarray:
    return np.full((4, 6), index, np.uint8)


def _write(folder: Path, keys: list[str] = KEYS, keys_per_shard: int = 2) -> Path:
    with ShardWriter(folder, keys_per_shard=keys_per_shard) as writer:
        for index, key in enumerate(keys):
            writer.write(key, {"png": encode_png(_mask(index)), "segments.png": encode_png(_mask(100 + index))})
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    reader = ShardReader(_write(tmp_path))
    assert reader.keys == KEYS and len(reader) == 5
    assert "photo-3" in reader and "photo-9" not in reader
    for index, key in enumerate(KEYS):
        np.testing.assert_array_equal(decode(reader.read(key, "png")), _mask(index))
        np.testing.assert_array_equal(decode(reader.read(key, "segments.png")), _mask(100 + index))
    assert [key for key, _ in decoded(reader, "png")] == KEYS


def test_shards_hold_the_given_number_of_keys(tmp_path: Path) -> None:
    reader = ShardReader(_write(tmp_path))
    by_shard = {path.name: keys for path, keys in reader.keys_by_shard.items()}
    assert by_shard == {shard_name(0): KEYS[:2], shard_name(1): KEYS[2:4], shard_name(2): KEYS[4:]}
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert [(entry["shard"], entry["keys"]) for entry in manifest] == [
        (shard_name(n), k) for n, k in enumerate((2, 2, 1))
    ]


def test_next_shard_begins_a_new_file(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, keys_per_shard=100, first_shard=3) as writer:
        writer.write("a", {"txt": b"1"})
        writer.next_shard()
        writer.write("b", {"txt": b"2"})
    assert [path.name for path in ShardReader(tmp_path).keys_by_shard] == [shard_name(3), shard_name(4)]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = _write(tmp_path / "first"), _write(tmp_path / "second")
    files = sorted(path.name for path in first.iterdir())
    assert files == sorted(path.name for path in second.iterdir()) == [MANIFEST, *map(shard_name, range(3))]
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_shards_are_ordinary_tar_files(tmp_path: Path) -> None:
    with tarfile.open(_write(tmp_path) / shard_name(0)) as tar:
        assert tar.getnames() == ["photo-0.png", "photo-0.segments.png", "photo-1.png", "photo-1.segments.png"]
        assert {header.mtime for header in tar} == {0}


@pytest.mark.parametrize("key", ["a.b", "a/b", "", "ä"])
def test_keys_that_could_not_be_found_again_are_refused(tmp_path: Path, key: str) -> None:
    with (
        pytest.raises(ValueError, match="expected a key of letters"),
        ShardWriter(tmp_path, keys_per_shard=1) as writer,
    ):
        writer.write(key, {"png": b""})


def test_a_failed_writer_leaves_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path, keys_per_shard=2) as writer:
        writer.write("a", {"txt": b"1"})
        raise RuntimeError
    with pytest.raises(FileNotFoundError, match=f"no {MANIFEST}"):
        ShardReader(tmp_path)


def test_no_photographs_at_all_are_an_empty_folder(tmp_path: Path) -> None:
    reader = ShardReader(_write(tmp_path, []))
    assert len(reader) == 0 and reader.keys == []
    verify(tmp_path)


@pytest.mark.parametrize("cut", [1, 512, 1024, 2048, 5000])
def test_a_truncated_shard_is_named(tmp_path: Path, cut: int) -> None:
    shard = _write(tmp_path) / shard_name(1)
    shard.write_bytes(shard.read_bytes()[:-cut])
    with pytest.raises(ValueError, match=f"{shard_name(1)}: missing or truncated; delete .* and run its stage again"):
        ShardReader(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    (_write(tmp_path) / shard_name(2)).unlink()
    with pytest.raises(ValueError, match=f"{shard_name(2)}: missing"):
        ShardReader(tmp_path)


def test_a_shard_that_is_no_tar_file_is_named(tmp_path: Path) -> None:
    shard = _write(tmp_path) / shard_name(0)
    shard.write_bytes(b"x" * shard.stat().st_size)
    with pytest.raises(ValueError, match=f"{shard_name(0)}: not a tar file"):
        ShardReader(tmp_path)


def test_a_shard_that_shrinks_while_it_is_read_is_named(tmp_path: Path) -> None:
    reader = ShardReader(_write(tmp_path))
    shard = tmp_path / shard_name(2)
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"photo-4.segments.png is truncated"):
        reader.read("photo-4", "segments.png")


def test_verify_finds_a_single_wrong_byte(tmp_path: Path) -> None:
    verify(_write(tmp_path))
    shard = tmp_path / shard_name(1)
    content = bytearray(shard.read_bytes())
    content[600] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match=f"{shard_name(1)}: missing or damaged"):
        verify(tmp_path)


def test_an_unknown_member_is_a_key_error(tmp_path: Path) -> None:
    reader = ShardReader(_write(tmp_path))
    for key, suffix in (("photo-9", "png"), ("photo-0", "jpg")):
        with pytest.raises(KeyError):
            reader.read(key, suffix)


def _length(reader: ShardReader) -> int:
    return sum(len(reader.read(key, "png")) for key in KEYS)


def test_a_reader_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    reader = ShardReader(_write(tmp_path))
    expected = _length(reader)
    assert _length(pickle.loads(pickle.dumps(reader))) == expected
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_length, [reader, reader]) == [expected, expected]


def test_pictures_survive_jpeg_nearly_and_png_exactly() -> None:
    x, y = np.meshgrid(np.arange(32), np.arange(24))
    picture = np.stack([8 * x, 10 * y, 4 * (x + y)], axis=-1).astype(np.uint8)
    np.testing.assert_array_equal(decode(encode_png(picture)), picture)
    assert np.abs(decode(encode_jpeg(picture)).astype(int) - picture).mean() < 2
    assert encode_jpeg(picture) == encode_jpeg(picture)


def test_rows_survive_with_their_lists(tmp_path: Path) -> None:
    rows = pd.DataFrame({"key": ["a", "b"], "landmarks": [[1.0, 2.0], [3.0, 4.0]], "synthetic": [True, False]})
    write_rows(tmp_path / "new", rows)
    again = read_rows(tmp_path / "new")
    assert again["key"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(again["landmarks"][1], [3.0, 4.0])
    with pytest.raises(FileNotFoundError, match="was the stage that writes this folder run"):
        read_rows(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_a_full_disk_is_an_error_and_leaves_nothing_that_counts_as_finished(tmp_path: Path) -> None:
    (tmp_path / shard_name(1)).symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        _write(tmp_path)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(FileNotFoundError, match=f"no {MANIFEST}"):
        ShardReader(tmp_path)
