"""What can be wrong with a page: numbers for compiled code, words for the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from experiments.errors import DataError

(
    SOUND,
    VERSION,
    HEADER,
    CHECKSUM,
    POINTER,
    TUPLE,
    VALUE,
    XID,
    MULTI,
    OLD,
    CHUNK,
    TWICE,
    CUT,
) = range(13)

REASONS: Mapping[int, str] = {
    VERSION: "page size or layout version is another one (item is pd_pagesize_version)",
    HEADER: "page header is damaged",
    CHECKSUM: "checksum does not match (item is the page's own)",
    POINTER: "line pointer points outside the page's tuples",
    TUPLE: "tuple header is damaged",
    VALUE: "a value does not fit into its tuple",
    XID: "transaction id is older than the relation's oldest (item is the id)",
    MULTI: "multixact is unknown to the server (item is its id)",
    OLD: "tuple was moved by a VACUUM FULL before PostgreSQL 9.0",
    CHUNK: "TOAST chunk has another size than its value needs",
    TWICE: "TOAST chunk is there twice",
    CUT: "cut short while it was read",
}


class Fault(DataError):
    """A damaged page, or one that needs to be asked about. ``block`` counts within its file."""

    def __init__(self, path: Path, block: int, code: int, item: int) -> None:
        super().__init__(f"{path}: block {block}: {REASONS[code]} [item {item}]")
        self.code = code
        self.item = item

    def __reduce__(self) -> tuple[type[DataError], tuple[str]]:
        """To another process it goes as the error that users see."""
        return DataError, (str(self),)
