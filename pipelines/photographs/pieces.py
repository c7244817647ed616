"""Pieces of shards, the unit of work and of memory while photographs are collected.

A piece is a sixteenth of a shard: some files that are neighbours by name, or some synthetic people. It is made by any
process and remembered (`pipelines.shard_memo`) under the fingerprint of its files' bytes, or of people and face model,
and of parameters and code. Whole shards as units would make a new photograph cost a shard of decoding; a piece for each
photograph would cost more files than the memo's folder likes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models import camera, compiled, face_model, landmarks, light, normals, rasterizer, segments
from pipelines import face_model_file, shards, topology
from pipelines.photographs import annotations, decoding, found, reading, sources
from pipelines.photographs.chunks import content_defined_runs
from pipelines.photographs.decoding import DecodingLimits
from pipelines.photographs.digests import content_digests
from pipelines.photographs.found import FoundFile
from pipelines.photographs.reading import read_file
from pipelines.shard_memo import Item, ShardTask, fingerprint_of, source_digest
from pipelines.shards import sha256_of
from pipelines.synthetic import generate as generator
from pipelines.synthetic.generate import DataSetSize, generate

PIECES_PER_SHARD = 16
PIECE_COLUMNS = [
    "key", "name", "identity", "synthetic", "width", "height", "status", "reason", "fingerprint", "annotated"
]  # fmt: skip

Pieces = list[list[ShardTask]]  # of each shard


def pieces_of_files(files: Sequence[FoundFile], limits: DecodingLimits, *, keys_per_shard: int, memo: Path) -> Pieces:
    """The pieces of each shard of files, in the files' order."""
    code = source_digest(*code_of_reader())
    digests = content_digests(files, limits)

    def task(run: Sequence[int]) -> ShardTask:
        chosen = tuple(files[index] for index in run)
        contents = [
            [file.key, file.name, file.identity, digests[index]] for file, index in zip(chosen, run, strict=True)
        ]
        parts = {"stage": "photographs", "limits": limits, "files": contents, "code": code}
        return ShardTask(_DecodeFiles(chosen, limits), memo / fingerprint_of(parts), len(chosen))

    keys = [file.key for file in files]
    result = []
    for shard in content_defined_runs(keys, keys_per_shard):
        runs = content_defined_runs(keys[shard.start : shard.stop], max(1, keys_per_shard // PIECES_PER_SHARD))
        result.append([task(shard[run.start : run.stop]) for run in runs])
    return result


def pieces_of_people(
    face_model_file: Path, size: DataSetSize, people: int, *, keys_per_shard: int, memo: Path
) -> Pieces:
    """The pieces of each shard of synthetic photographs: whole people, counted from the first, so that more of them
    change only the last shard.
    """
    per_shard = max(1, keys_per_shard // size.photographs_per_person)
    per_piece = max(1, per_shard // PIECES_PER_SHARD)
    code, model = source_digest(*code_of_generator()), sha256_of(face_model_file)

    def task(first: int, last: int) -> ShardTask:
        parts = {"stage": "synthetic", "model": model, "size": size, "people": [first, last], "code": code}
        photographs = (last - first) * size.photographs_per_person
        return ShardTask(
            _TakePhotographs(face_model_file, size, range(first, last)), memo / fingerprint_of(parts), photographs
        )

    return [
        [
            task(first, min(first + per_piece, shard + per_shard, people))
            for first in range(shard, min(shard + per_shard, people), per_piece)
        ]
        for shard in range(0, people, per_shard)
    ]


def code_of_reader() -> list[str]:
    """All code files that a photograph from a file depends on."""
    modules = (annotations, decoding, found, reading, segments, shards)
    readers = Path(str(sources.__file__)).parent.glob("*.py")
    return sorted({__file__, *(str(module.__file__) for module in modules), *map(str, readers)})


def code_of_generator() -> list[str]:
    """All code files that a synthetic photograph depends on."""
    models = (camera, compiled, face_model, landmarks, light, normals, segments)
    modules = (generator, rasterizer, face_model_file, shards, topology, *models)
    files = [Path(str(module.__file__)) for module in modules]
    packages = [file for package in files[:2] for file in package.parent.glob("*.[pc]*") if file.is_file()]
    names = ("normal_kernels.py", "pixel_kernels.py")  # importing them would import numba
    kernels = [Path(normals.__file__).with_name(name) for name in names]
    return sorted({__file__, *map(str, kernels), *map(str, files), *map(str, packages)})


@dataclass(frozen=True)
class _DecodeFiles:
    files: tuple[FoundFile, ...]
    limits: DecodingLimits

    def __call__(self) -> Iterator[Item]:
        for file in self.files:
            read = read_file(self.limits, file)
            row = _row(file.key, file.name, file.identity, width=read.width, height=read.height, reason=read.reason)
            members = {"jpg": read.picture, "segments.png": read.segments}
            known = {suffix: content for suffix, content in members.items() if content is not None}
            annotated = read.segments is not None
            yield Item(file.key, known, {**row, "fingerprint": read.fingerprint, "annotated": annotated})


@dataclass(frozen=True)
class _TakePhotographs:
    face_model: Path
    size: DataSetSize
    people: range

    def __call__(self) -> Iterator[Item]:
        side = self.size.size
        for one in generate(self.face_model, self.size, self.people):
            row = _row(one.key, f"{one.key}.jpg", f"person-{one.person:05d}", width=side, height=side)
            members = {"jpg": one.picture, "segments.png": one.segments}
            yield Item(one.key, members, {**one.truth, **row, "synthetic": True})


def _row(key: str, name: str, identity: str, *, width: int, height: int, reason: str = "") -> dict[str, Any]:
    """What every photograph's row says before it has a split."""
    status = "rejected" if reason else "kept"
    return {
        "key": key, "name": name, "identity": identity, "synthetic": False,
        "width": width, "height": height, "status": status, "reason": reason, "fingerprint": "", "annotated": False,
    }  # fmt: skip
