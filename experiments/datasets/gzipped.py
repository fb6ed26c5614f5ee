"""A gzip file's text from front to back, in memory that does not grow with the file (RFC 1952).

Python's ``gzip`` does the same, but tells neither how far into the compressed file it is nor where
a damaged one broke.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from experiments.errors import DataError

_MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS
_FETCH = 1 << 18


class GzipReader:
    """Reads concatenated members as one text, as gzip itself does.

    Parameters
    ----------
    path : for messages.
    file : the compressed file, at its start.
    remedy : what to do about a damaged file.

    Attributes
    ----------
    offset : uncompressed bytes given out so far.
    """

    def __init__(self, path: Path, file: BinaryIO, remedy: str) -> None:
        self.offset = 0
        self._path, self._file, self._remedy = path, file, remedy
        self._fetched = 0
        self._input = b""
        self._member: zlib._Decompress | None = None
        self._first = True

    @property
    def position(self) -> int:
        """Bytes of the compressed file used so far."""
        return self._fetched - len(self._input)

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer at the end only.

        Raises
        ------
        DataError
            The file is no gzip file, damaged or cut off; names it and the place.
        """
        parts = []
        rest = size
        while rest and (part := self._inflate(rest)):
            parts.append(part)
            rest -= len(part)
            self.offset += len(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes, checked as if they were read.

        Raises
        ------
        DataError
            As :meth:`read`, and when the text ends before.
        """
        rest = size
        while rest:
            passed = len(self.read(min(rest, _FETCH)))
            if not passed:
                raise self.bad(f"ends after {self.offset} bytes of text, not {size}")
            rest -= passed

    def _inflate(self, most: int) -> bytes:
        """One to ``most`` bytes; none at the file's end."""
        while self._member is not None or self._begin():
            assert self._member is not None
            more = bool(self._input) or self._fetch()
            try:
                part = self._member.decompress(self._input, most)
            except zlib.error as error:
                how = str(error).rpartition(": ")[2]
                raise self.bad(
                    f"is damaged after {self.offset} bytes of its text ({how})"
                ) from None
            if self._member.eof:
                self._input, self._member = self._member.unused_data, None
            else:
                self._input = self._member.unconsumed_tail
            if part:
                return part
            if self._member is not None and not more:
                raise self.bad(f"is cut off after {self.offset} bytes of its text")
        return b""

    def _begin(self) -> bool:
        """Open the next member; False if there is none."""
        if len(self._input) < len(_MAGIC):
            self._fetch()
        if self._input.startswith(_MAGIC):
            self._member, self._first = zlib.decompressobj(_GZIP), False
            return True
        if self._first and self._input:
            raise self.bad("is no gzip file")
        # Zeros pad a file to whole blocks of a tape; gzip ignores them too.
        while self._input or self._fetch():
            if self._input.strip(b"\0"):
                raise self.bad(f"has other bytes behind its end, from byte {self.position} on")
            self._input = b""
        return False

    def _fetch(self) -> bool:
        more = self._file.read(_FETCH)
        self._fetched += len(more)
        self._input += more
        return bool(more)

    def bad(self, how: str) -> DataError:
        """The error for this file, with what to do about it."""
        return DataError(f"{self._path} {how}; {self._remedy}")


@contextmanager
def open_gzip(path: Path, remedy: str) -> Iterator[GzipReader]:
    """A gzip file from its start.

    Raises
    ------
    DataError
        The file cannot be opened; names it.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    with file:
        yield GzipReader(path, file, remedy)
