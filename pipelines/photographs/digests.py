"""Digests of found files: what a remembered photograph was made from."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pipelines.photographs.decoding import DecodingLimits
from pipelines.photographs.found import FoundFile
from pipelines.shards import sha256_of

_READERS = 8  # threads that hash files, which waits for the disk


def content_digests(files: Sequence[FoundFile], limits: DecodingLimits) -> list[str]:
    """Of each file, a digest of its bytes and its annotation's; what is refused or unreadable has the reason instead.

    Files in archives are read one after the other: a compressed archive is a stream.
    """
    digest = partial(_digest, limits)
    if any(file.member for file in files):
        return list(map(digest, files))
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(digest, files))


def _digest(limits: DecodingLimits, file: FoundFile) -> str:
    if file.refusal:
        return file.refusal
    try:
        if file.size > limits.maximum_bytes:  # is not read for its digest either
            return f"{file.size} bytes"
        with file.open() as stream:
            picture = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        annotation = [f"{path.name} {sha256_of(path)}" for path in file.annotation.files] if file.annotation else []
    except Exception as error:  # archives that are damaged raise whatever they stumble over
        return f"unreadable: {type(error).__name__}"
    return " ".join([picture, *annotation])
