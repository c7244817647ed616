"""The data set of photographs: shards, one row for every file, and the truth of synthetic ones."""

import collections
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from pipelines.params import PhotographsParams
from pipelines.photographs.decoding import DecodingLimits
from pipelines.photographs.reading import ReadFile, read_files
from pipelines.photographs.sources.extra import extra_files
from pipelines.photographs.sources.layouts import found_files
from pipelines.photographs.splits import COMPANION, split_identities
from pipelines.shards import ShardWriter, write_rows
from pipelines.synthetic.generate import TRUTH_COLUMNS, DataSetSize, generate
from pipelines.synthetic.view import Chances

SYNTHETIC = "synthetic"
EXTRA = "extra"
_COLUMNS = ("key", "name", "identity", "split", "synthetic", "width", "height", "status", "reason")


class _Entry(NamedTuple):
    """One photograph on its way into the shards."""

    row: dict[str, Any]
    picture: bytes | None
    segments: bytes | None
    truth: dict[str, object] | None


def collect_photographs(
    face_model: Path, photographs: Path, truth: Path, *, params: PhotographsParams, distance_mm: float
) -> None:
    """Write the folders `photographs` and `truth`; `distance_mm` is the synthetic camera's typical distance.

    Raises ValueError when no photograph is left; the rows, with the reasons, are written before.
    """
    entries = _own_entries(face_model, params, distance_mm)
    rows, truths = _write(entries, photographs, truth, keys_per_shard=params.keys_per_shard)
    write_rows(photographs, _with_splits(rows, params))
    write_rows(truth, pd.DataFrame(truths, columns=list(TRUTH_COLUMNS)))
    if not any(_is_of_source(row, params.source) and row["status"] == "kept" for row in rows):
        reasons = collections.Counter(row["reason"].partition(":")[0] for row in rows if row["reason"])
        listed = ", ".join(f"{count} x {reason}" for reason, count in sorted(reasons.items())) or "the source is empty"
        raise ValueError(f"no photograph left in {params.source}: {listed} (see {photographs}/rows.parquet)")


def _own_entries(face_model: Path, params: PhotographsParams, distance_mm: float) -> Iterator[_Entry]:
    """The source's photographs, then the extra ones; a folder's are preceded by synthetic companions.

    The labelling networks and the warm start learn from synthetic truth, so synthetic photographs are always there;
    beside a folder, they take no part in training the regressor or in Table 1.
    """
    limits = DecodingLimits(params.maximum_megapixels, params.minimum_side, params.longest_side)
    extra = extra_files(params.extra)
    files = [] if params.source == SYNTHETIC else found_files(Path(params.source), params.layout)
    first_with: dict[str, str] = {}
    yield from _synthetic_entries(face_model, params, distance_mm)
    if files:
        read = read_files(files, limits, workers=params.workers)
        yield from _file_entries(tqdm(read, total=len(files), desc="photographs"), first_with, split="")
    yield from _file_entries(read_files(extra, limits, workers=1), first_with, split=EXTRA)


def _synthetic_entries(face_model: Path, params: PhotographsParams, distance_mm: float) -> Iterator[_Entry]:
    size = DataSetSize(
        people=params.people,
        photographs_per_person=params.photographs_per_person,
        size=params.size,
        distance_mm=distance_mm,
        chances=Chances(params.glasses_fraction, params.hat_fraction, params.occluder_fraction),
        specular_lights=params.specular_lights,
        seed=params.seed,
    )
    taken = generate(face_model, size, workers=params.workers)
    for one in tqdm(taken, total=size.people * size.photographs_per_person, desc="synthetic photographs"):
        row = _row(one.key, f"{one.key}.jpg", f"person-{one.person:05d}", width=params.size, height=params.size)
        yield _Entry({**row, "synthetic": True}, one.picture, one.segments, one.truth)


def _file_entries(files: Iterable[ReadFile], first_with: dict[str, str], *, split: str) -> Iterator[_Entry]:
    """Entries of files; `first_with` remembers by fingerprint which file had the same picture before."""
    for read in files:
        file, picture, reason = read.file, read.picture, read.reason
        if picture is not None:
            if read.fingerprint in first_with:
                picture, reason = None, f"duplicate of {first_with[read.fingerprint]}"
            first_with.setdefault(read.fingerprint, file.name)
        row = _row(file.key, file.name, file.identity, width=read.width, height=read.height, reason=reason)
        yield _Entry({**row, "split": split}, picture, read.segments if picture is not None else None, None)


def _is_of_source(row: dict[str, Any], source: str) -> bool:
    return row["split"] != EXTRA and row["synthetic"] == (source == SYNTHETIC)


def _row(key: str, name: str, identity: str, *, width: int, height: int, reason: str = "") -> dict[str, Any]:
    status = "rejected" if reason else "kept"
    return {
        "key": key, "name": name, "identity": identity, "split": "", "synthetic": False,
        "width": width, "height": height, "status": status, "reason": reason,
    }  # fmt: skip


def _write(
    entries: Iterable[_Entry], photographs: Path, truth: Path, *, keys_per_shard: int
) -> tuple[list[dict[str, Any]], list[dict[str, object]]]:
    rows, truths = [], []
    with (
        ShardWriter(photographs, keys_per_shard=keys_per_shard) as pictures,
        ShardWriter(truth, keys_per_shard=keys_per_shard) as masks,
    ):
        for entry in entries:
            rows.append(entry.row)
            if entry.picture is not None:
                pictures.write(entry.row["key"], {"jpg": entry.picture})
            if entry.segments is not None:
                masks.write(entry.row["key"], {"segments.png": entry.segments})
            if entry.truth is not None:
                truths.append(entry.truth)
    return rows, truths


def _with_splits(rows: list[dict[str, Any]], params: PhotographsParams) -> pd.DataFrame:
    """Rows with their split; a photograph without identity counts as an identity of its own, a rejected one as none."""
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    to_split = (table["status"] == "kept") & (table["split"] != EXTRA)
    own = table["identity"].where(table["identity"] != "", "photograph " + table["key"])
    for synthetic in (True, False):
        part = to_split & (table["synthetic"] == synthetic)
        is_companion = synthetic and params.source != SYNTHETIC
        splits = split_identities(
            own[part].tolist(),
            test_fraction=params.test_fraction,
            validation_fraction=params.validation_fraction,
            seed=params.seed,
            test_photographs=0 if is_companion else params.test_photographs,
        )
        table.loc[part, "split"] = (COMPANION if is_companion else "") + own[part].map(splits)
    return table
