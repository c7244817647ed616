"""A list of photographs, CSV or Parquet: `path`, relative to the list's folder, and `identity` where it is known."""

from pathlib import Path, PurePath

import pandas as pd

from pipelines.photographs.found import FoundFile, found_file

SUFFIXES = (".csv", ".parquet")


def files_in_list(path: Path) -> list[FoundFile]:
    """The files that a list names, in its order; those that do not exist become rejected rows when they are read.

    Raises ValueError when the list cannot be read or has no column `path`.
    """
    table = _read_table(path)
    if "path" not in table:
        columns = ", ".join(map(str, table.columns)) or "none"
        raise ValueError(
            f"{path}: expected a column 'path' (and, where it is known, 'identity'), got columns: {columns}"
        )
    names = _texts(table["path"])
    identities = _texts(table["identity"]) if "identity" in table else [""] * len(names)
    return [
        _listed(path.parent, number, name, identity)
        for number, (name, identity) in enumerate(zip(names, identities, strict=True), start=1)
    ]


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except Exception as error:  # pandas and pyarrow raise whatever they stumble over
        expected = "a Parquet file" if path.suffix.lower() == ".parquet" else "comma-separated UTF-8 text with a header"
        raise ValueError(f"{path}: expected {expected}, which this is not ({str(error).splitlines()[0]})") from error


def _texts(column: "pd.Series[str]") -> list[str]:
    """Cells as text, "" where there is none; whole numbers without a decimal point."""
    return [str(cell).strip() for cell in column.convert_dtypes().astype("string").fillna("")]


def _listed(folder: Path, number: int, name: str, identity: str) -> FoundFile:
    if not name:
        return found_file(folder, f"row {number}", identity=identity, refusal="no path")
    if PurePath(name).is_absolute():  # would be written into the rows, and is another on every machine
        return found_file(
            folder, name, identity=identity, refusal="absolute path: write it relative to the list's folder"
        )
    return found_file(folder / name, PurePath(name).as_posix(), identity=identity)
