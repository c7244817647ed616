"""From found files to JPEGs."""

from typing import NamedTuple

from pipelines.photographs.annotations import encoded_segments
from pipelines.photographs.decoding import DecodingLimits, decode_photograph, fingerprint
from pipelines.photographs.found import FoundFile
from pipelines.shards import encode_jpeg


class ReadFile(NamedTuple):
    """A file after reading: a JPEG, or None and the reason; width and height are those of the JPEG, else the file's."""

    file: FoundFile
    picture: bytes | None
    fingerprint: str
    width: int
    height: int
    reason: str
    segments: bytes | None = None  # PNG of the annotated segments, as large as the JPEG


def read_file(limits: DecodingLimits, file: FoundFile) -> ReadFile:
    """One file, decoded and encoded again as JPEG, with its annotation."""
    decoded = decode_photograph(file, limits)
    if decoded.picture is None:
        return ReadFile(file, None, "", decoded.width, decoded.height, decoded.reason)
    height, width = decoded.picture.shape[:2]
    segments, reason = encoded_segments(file.annotation, width=width, height=height)
    if reason:
        return ReadFile(file, None, "", width, height, reason)
    return ReadFile(file, encode_jpeg(decoded.picture), fingerprint(decoded.picture), width, height, "", segments)
