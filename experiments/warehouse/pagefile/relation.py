"""A relation's main fork: one file, and ``.1``, ``.2`` … for every further segment of 1 GB."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from experiments.errors import DataError, EnvironmentFault
from experiments.warehouse.pagefile import faults
from experiments.warehouse.pagefile.faults import Fault
from experiments.warehouse.pagefile.native import Bytes, Ints, fill

_AT_ONCE = 64


class RelationFile:
    """Reads blocks into buffers of the caller's; safe to use from several threads.

    ``pread`` into a buffer that stays in the processor's cache is faster than mapping pages (no
    page faults), and a file cut short under the reader is an error, not a signal.

    Parameters
    ----------
    path : first file.
    page_bytes : block size.
    file_blocks : blocks of a full file, ``RELSEG_SIZE``.

    Raises
    ------
    DataError
        A file is missing, is no whole number of pages, or a full one is shorter than full.
    EnvironmentFault
        This user may not read the files.
    """

    def __init__(self, path: Path, page_bytes: int, file_blocks: int) -> None:
        self.path = path
        self.page_bytes = page_bytes
        self._file_blocks = file_blocks
        self._files: list[int] = []
        self.blocks = 0
        try:
            while self._add():
                pass
        except BaseException:
            self.close()
            raise

    def _add(self) -> bool:
        """Open the next file; False if there is none."""
        path = self._name(len(self._files))
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if not self._files:
                raise DataError(f"{path}: no such file") from None
            return False
        except PermissionError:
            raise EnvironmentFault(
                f"{path}: may not be read by this user: read it as the server's user or as root"
            ) from None
        self._files.append(descriptor)
        size = os.fstat(descriptor).st_size
        blocks, rest = divmod(size, self.page_bytes)
        if rest:
            raise DataError(
                f"{path}: block {blocks}: cut short, {rest} of {self.page_bytes} bytes are there"
            )
        if blocks and self.blocks != (len(self._files) - 1) * self._file_blocks:
            before = self._name(len(self._files) - 2)
            raise DataError(
                f"{before}: block {self.blocks % self._file_blocks}: cut short, {path.name} follows"
            )
        if blocks > self._file_blocks:
            raise DataError(f"{path}: block {self._file_blocks}: file is longer than a full one")
        self.blocks += blocks
        return True

    def _name(self, number: int) -> Path:
        return self.path if number == 0 else self.path.with_name(f"{self.path.name}.{number}")

    def where(self, block: int) -> tuple[Path, int]:
        """The file that holds a block of the relation, and the block's number in that file."""
        number, within = divmod(block, self._file_blocks)
        return self._name(number), within

    def read(self, first: int, into: Bytes) -> None:
        """Fill ``into``, uint8 [blocks * page_bytes], with the blocks from ``first`` on.

        Raises
        ------
        DataError
            The file is shorter than it was.
        """
        for descriptor, start, count, within in self.parts(first, len(into) // self.page_bytes):
            at = (start - first) * self.page_bytes
            part = into[at : at + count * self.page_bytes]
            if not fill(descriptor, within * self.page_bytes, part):
                raise self.short(start, count)

    def parts(self, first: int, count: int) -> Iterator[tuple[int, int, int, int]]:
        """What of some blocks lies in which file: descriptor, first, count, first in that file."""
        stop = first + count
        while first < stop:
            number, within = divmod(first, self._file_blocks)
            here = min(stop - first, self._file_blocks - within)
            yield self._files[number], first, here, within
            first += here

    def short(self, first: int, count: int) -> Fault:
        """Which of some blocks, all in one file, is the first that is not there any more."""
        number, within = divmod(first, self._file_blocks)
        there = os.fstat(self._files[number]).st_size // self.page_bytes
        block = min(max(there, within), within + count - 1)
        return Fault(self._name(number), block, faults.CUT, 0)

    def newest(self, first: int, count: int) -> int:
        """The latest ``pd_lsn`` of some blocks: the log position of their last change."""
        raw = np.empty(min(count, _AT_ONCE) * self.page_bytes, np.uint8)
        newest = 0
        for start in range(first, first + count, _AT_ONCE):
            part = raw[: min(_AT_ONCE, first + count - start) * self.page_bytes]
            self.read(start, part)
            pages = part.view(np.uint32).reshape(-1, self.page_bytes // 4)
            position = pages[:, 0].astype(np.uint64) << np.uint64(32) | pages[:, 1]
            newest = max(newest, int(position.max()))
        return newest

    def fault(self, found: Ints) -> Fault:
        """What compiled code has found wrong: its int64 [3] of code, block and item."""
        code, block, item = found.tolist()
        path, within = self.where(block)
        return Fault(path, within, code, item)

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


Ranges = list[tuple[RelationFile, int, int]]
"""Blocks that were read: relation, first, how many."""
