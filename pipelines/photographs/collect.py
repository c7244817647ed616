"""The data set of photographs: shards, one row for every file, and the truth of synthetic ones.

Adding one photograph in a hundred costs one in a hundred of the decoding or generating: photographs are made in
remembered pieces (`pieces`), and whoever is killed goes on with the pieces that are missing. Shards are then put
together from the pieces' bytes, a copy that costs a few hundredths of decoding. Where a shard ends is said by the keys
in it (`chunks`), so that the labelling stages, which remember whole shards, also find nearly all of them unchanged. A
picture that was there before in another file is left out here, because only here all are known.
"""

import collections
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow
from pyarrow import parquet

from pipelines.engines import IN_THIS_PROCESS
from pipelines.params import LabellingParams, PhotographsParams
from pipelines.photographs.decoding import DecodingLimits
from pipelines.photographs.pieces import PIECE_COLUMNS, Pieces, pieces_of_files, pieces_of_people
from pipelines.photographs.sources.extra import extra_files
from pipelines.photographs.sources.layouts import found_files
from pipelines.photographs.splits import COMPANION, split_identities
from pipelines.shard_memo import empty, full_disk_named, make_missing
from pipelines.shards import ROWS, ShardReader, ShardWriter, write_rows
from pipelines.synthetic.generate import TRUTH_COLUMNS, DataSetSize
from pipelines.synthetic.view import Chances

SYNTHETIC = "synthetic"
EXTRA = "extra"
_COLUMNS = ("key", "name", "identity", "split", "synthetic", "width", "height", "status", "reason")


class _Part(NamedTuple):
    """Photographs of one origin, with the split they are given here ("" when they are still to be split)."""

    shards: Pieces
    split: str


def collect_photographs(
    face_model: Path,
    photographs: Path,
    truth: Path,
    *,
    params: PhotographsParams,
    distance_mm: float,
    memo: Path,
    engine: LabellingParams = IN_THIS_PROCESS,
) -> None:
    """Write the folders `photographs` and `truth`; `distance_mm` is the synthetic camera's typical distance.

    Raises ValueError when no photograph is left; the rows, with the reasons, are written before.
    """
    parts = _parts(face_model, params, distance_mm, memo)
    tasks = [task for part in parts for shard in part.shards for task in shard]
    engine = engine.model_copy(update={"workers": params.workers})
    make_missing(tasks, memo, description="photographs", engine=engine, one_thread=True)
    empty(photographs)
    empty(truth)
    with full_disk_named(photographs):
        rows, truths = _assemble(parts, photographs, truth)
        write_rows(photographs, _with_splits(rows, params))
        write_rows(truth, pyarrow.concat_tables(truths).to_pandas())
    if not any(_is_of_source(row, params.source) and row["status"] == "kept" for row in rows):
        reasons = collections.Counter(row["reason"].partition(":")[0] for row in rows if row["reason"])
        listed = ", ".join(f"{count} x {reason}" for reason, count in sorted(reasons.items())) or "the source is empty"
        raise ValueError(f"no photograph left in {params.source}: {listed} (see {photographs}/rows.parquet)")


def _parts(face_model: Path, params: PhotographsParams, distance_mm: float, memo: Path) -> list[_Part]:
    """Synthetic photographs, those of a folder, and the extra ones.

    The labelling networks and the warm start learn from synthetic truth, so synthetic photographs are always there;
    beside a folder, they take no part in training the regressor or in Table 1.
    """
    limits = DecodingLimits(params.maximum_megapixels, params.minimum_side, params.longest_side)
    extra = extra_files(params.extra)
    files = [] if params.source == SYNTHETIC else found_files(Path(params.source), params.layout)
    size = DataSetSize(
        photographs_per_person=params.photographs_per_person,
        size=params.size,
        distance_mm=distance_mm,
        chances=Chances(params.glasses_fraction, params.hat_fraction, params.occluder_fraction),
        specular_lights=params.specular_lights,
        seed=params.seed,
    )
    per_shard = params.keys_per_shard
    return [
        _Part(pieces_of_people(face_model, size, params.people, keys_per_shard=per_shard, memo=memo), ""),
        _Part(pieces_of_files(files, limits, keys_per_shard=per_shard, memo=memo), ""),
        _Part(pieces_of_files(extra, limits, keys_per_shard=per_shard, memo=memo), EXTRA),
    ]


def _assemble(
    parts: Sequence[_Part], photographs: Path, truth: Path
) -> tuple[list[dict[str, Any]], list[pyarrow.Table]]:
    """Write the shards of both folders from their pieces; returns the rows of photographs and, by piece, of truth."""
    rows: list[dict[str, Any]] = []
    truths: list[pyarrow.Table] = []
    first_with: dict[str, str] = {}
    with (
        ShardWriter(photographs, keys_per_shard=2**62) as pictures,
        ShardWriter(truth, keys_per_shard=2**62) as masks,
    ):
        for part in parts:
            for shard in part.shards:
                for piece in shard:
                    reader, table = ShardReader(piece.entry), _table(piece.entry)
                    if set(TRUTH_COLUMNS) <= set(table.column_names):
                        truths.append(table.select(TRUTH_COLUMNS))
                    for row in table.select(PIECE_COLUMNS).to_pylist():
                        _reject_duplicate(row, first_with)
                        rows.append({**row, "split": part.split})
                        _copy(row, reader, pictures, masks)
                pictures.next_shard()
                masks.next_shard()
    return rows, truths


def _table(entry: Path) -> pyarrow.Table:
    """The rows of a piece; `read_rows` would take ten times as long for so few."""
    return parquet.ParquetFile(entry / ROWS).read(use_threads=False)


def _copy(row: dict[str, Any], reader: ShardReader, pictures: ShardWriter, masks: ShardWriter) -> None:
    key = row["key"]
    if row["status"] != "kept":
        return
    pictures.write(key, {"jpg": reader.read(key, "jpg")})
    if row["synthetic"] or row["annotated"]:
        masks.write(key, {"segments.png": reader.read(key, "segments.png")})


def _reject_duplicate(row: dict[str, Any], first_with: dict[str, str]) -> None:
    """Change the row of a file's picture that was there before; `first_with` remembers by fingerprint where."""
    fingerprint = row["fingerprint"]
    if fingerprint in first_with:
        row.update(status="rejected", reason=f"duplicate of {first_with[fingerprint]}")
    elif fingerprint:
        first_with[fingerprint] = row["name"]


def _is_of_source(row: dict[str, Any], source: str) -> bool:
    return row["split"] != EXTRA and row["synthetic"] == (source == SYNTHETIC)


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
