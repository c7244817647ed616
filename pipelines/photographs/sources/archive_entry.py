"""What tar and zip archives have in common: entries with a name, and either a readable member or a reason."""

from typing import NamedTuple

from pipelines.photographs.found import Member


class Entry(NamedTuple):
    """A file in an archive; `refusal` says why its member is not there."""

    name: str
    member: Member | None
    refusal: str = ""
