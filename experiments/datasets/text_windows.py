"""Lines of a packed text in windows of bounded size, unpacked by a thread beside who uses them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from experiments.datasets.gzipped import GzipReader


@dataclass(frozen=True)
class Window:
    """Whole lines of a file.

    Attributes
    ----------
    text : the lines, each ended by a newline.
    cut_off : what stands behind the last newline, at the file's end.
    last : the file ends here.
    end : bytes of the file's text up to here.
    position : bytes of the packed file used up to here.
    """

    text: bytes
    cut_off: bytes
    last: bool
    end: int
    position: int


def windows(reader: GzipReader, size: int, offset: int) -> Iterator[Window]:
    """A packed file's lines from ``offset`` on, in windows of at most ``size`` bytes.

    Where one begins decides where all later ones do, so that what is resumed goes on as it would
    have gone on.

    Raises
    ------
    DataError
        The file is damaged, holds nothing, or a line of more than ``size`` bytes.
    """
    reader.skip(offset)
    rest = b""
    last = False
    while not last:
        text = rest + reader.read(size - len(rest))
        last = len(text) < size
        if last and not reader.offset:
            raise reader.bad("has no lines")
        whole = text.rfind(b"\n") + 1
        if not whole and not last:
            start = reader.offset - size
            raise reader.bad(f"has a line of more than {size} bytes, from byte {start} of text on")
        rest = text[whole:]
        end = reader.offset - len(rest)
        yield Window(text[:whole], rest if last else b"", last, end, reader.position)


def ahead(pieces: Iterator[Window]) -> Generator[Window, None, None]:
    """The same windows; while one is used, a thread unpacks the next."""
    with ThreadPoolExecutor(1, "unpack") as pool:
        coming = pool.submit(next, pieces, None)
        while (window := coming.result()) is not None:
            coming = pool.submit(next, pieces, None)
            yield window
