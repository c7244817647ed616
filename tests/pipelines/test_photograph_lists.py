"""Lists of photographs, CSV and Parquet."""

from pathlib import Path

import pandas as pd
import pytest

from pipelines.photographs.sources.layouts import found_files
from tests.small_pictures import identities, put, reasons


def _list(folder: Path, text: str) -> Path:
    return put(folder / "faces.csv", text.encode())


def test_a_list_names_files_relative_to_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "pictures/1.jpg", seed=1)
    put(tmp_path / "elsewhere/ähm 2.jpg", seed=2)
    put(tmp_path / "pictures/unlisted.jpg", seed=3)
    path = put(tmp_path / "lists/faces.csv", "path,identity\n../pictures/1.jpg,007\n../elsewhere/ähm 2.jpg,\n".encode())
    files = found_files(path, "auto")
    assert identities(files) == {"../pictures/1.jpg": "007", "../elsewhere/ähm 2.jpg": ""}
    assert reasons(files) == {"../pictures/1.jpg": "", "../elsewhere/ähm 2.jpg": ""}


def test_identity_may_be_missing_and_more_columns_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "1.jpg")
    assert identities(found_files(_list(tmp_path, "\ufeffpath, age\n1.jpg, 30\n"), "auto")) == {"1.jpg": ""}


def test_identities_of_a_parquet_list_may_be_numbers(tmp_path: Path) -> None:
    table = pd.DataFrame({"path": ["1.jpg", "2.jpg", "3.jpg"], "identity": [7, None, 8]})
    table.to_parquet(tmp_path / "faces.parquet")
    files = found_files(tmp_path / "faces.parquet", "auto")
    assert identities(files) == {"1.jpg": "7", "2.jpg": "", "3.jpg": "8"}


def test_what_a_list_names_and_is_not_there_is_a_rejected_row(tmp_path: Path) -> None:
    put(tmp_path / "1.jpg")
    path = _list(tmp_path, f"path,identity\n1.jpg,a\n2.jpg,a\n,a\n{tmp_path}/1.jpg,b\n1.jpg,b\n")
    files = found_files(path, "auto")
    assert len({file.key for file in files}) == 5
    assert [reasons([file])[file.name] for file in files] == [
        "",
        "missing file",
        "no path",
        "absolute path: write it relative to the list's folder",
        "the source has this name more than once",
    ]


@pytest.mark.parametrize("name", ["faces.csv", "faces.parquet"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00path\n\x80", b'path\n"1.jpg\n', b"PAR1"])
def test_an_unreadable_list_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(ValueError, match=rf"{name}: expected (a Parquet file|comma-separated|a column 'path')"):
        found_files(put(tmp_path / name, content), "auto")


def test_a_list_without_paths_is_an_error_that_names_its_columns(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a column 'path' .* got columns: file, person"):
        found_files(_list(tmp_path, "file,person\n1.jpg,a\n"), "auto")
