"""Lines of a log, one at a time: whole, decoded, numbered; what is damaged is told and left out."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

LONGEST = 1 << 20
"""Bytes; a line that is longer is damaged. (The longest of the release is a dictionary of a CTQ
client, of some kilobytes.)"""

LISTED = 100
"""Damaged lines of a file that are listed; all are counted."""

_SHOWN = 60
_TELL_EVERY = 1 << 20
GZIP = b"\x1f\x8b"

Advance = Callable[[int], None]
"""Is told how many bytes of a file were read since it was told last."""


@dataclass(frozen=True)
class Damaged:
    """A line that could not be used."""

    line: int
    reason: str
    text: str


@dataclass
class Account:
    """What became of the lines of one file.

    Attributes
    ----------
    lines : read.
    used : that a table holds something of.
    damaged : that could not be used; the first :data:`LISTED` are in ``listed``.
    """

    lines: int = 0
    used: int = 0
    damaged: int = 0
    listed: list[Damaged] = field(default_factory=list)

    def damage(self, line: int, reason: str, text: str | bytes) -> None:
        """Note that a line cannot be used."""
        self.damaged += 1
        if len(self.listed) < LISTED:
            start = text[:_SHOWN]
            shown = start if isinstance(start, str) else start.decode("ascii", "backslashreplace")
            self.listed.append(Damaged(line, reason, "".join(map(_visible, shown))))


def read(path: Path, account: Account, advance: Advance) -> Iterator[tuple[int, str]]:
    """Numbers, from 1, and texts of the lines of a file, gzipped or not.

    Left out and noted as damaged: what is not UTF-8, holds zero bytes, is longer than
    :data:`LONGEST`, or has no end because the file was cut off. Memory does not grow with the file.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == GZIP
        raw.seek(0)
        told = 0
        stream: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if packed else raw
        try:
            for number, line in _whole(stream, account):
                if (number & 0xFFF) == 0 and raw.tell() - told >= _TELL_EVERY:
                    advance(raw.tell() - told)
                    told = raw.tell()
                yield number, line
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            account.damage(account.lines + 1, f"the gzip file is damaged ({error})", "")
        raw.seek(0, 2)
        advance(raw.tell() - told)


def _whole(stream: BinaryIO | gzip.GzipFile, account: Account) -> Iterator[tuple[int, str]]:
    readline = stream.readline
    while line := readline(LONGEST + 1):
        account.lines += 1
        number = account.lines
        if line[-1] != 0x0A:
            if len(line) > LONGEST:
                _skip(readline)
                account.damage(number, f"longer than {LONGEST} bytes", line)
            else:
                account.damage(number, "cut off: the file ends before the line does", line)
            continue
        if 0 in line:
            account.damage(number, "holds zero bytes", line)
            continue
        try:
            yield number, line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            account.damage(number, "not UTF-8", line)


def _skip(readline: Callable[[int], bytes]) -> None:
    """The rest of a line."""
    while (line := readline(LONGEST)) and line[-1] != 0x0A:
        pass


def _visible(letter: str) -> str:
    return letter if letter.isprintable() else f"\\x{ord(letter):02x}"
