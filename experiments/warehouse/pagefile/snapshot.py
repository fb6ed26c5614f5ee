"""Who had committed when the snapshot was taken: ``pg_xact`` with the snapshot written into it.

The server's snapshot names the transactions that ran, but not their subtransactions; those are
found by their parents in ``pg_subtrans``. A checkpoint after the snapshot has put both on disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.errors import DataError
from experiments.warehouse.pagefile.native import Bytes, Ints
from experiments.warehouse.pagefile.pages import Horizon

PAGES_PER_FILE = 32
"""``SLRU_PAGES_PER_SEGMENT``."""

FIRST_NORMAL = 3
COMMITTED, SUB_COMMITTED = 1, 3
"""Of the four states in ``clog.h``."""

_XID = 2**32
_TEXT = re.compile(r"(\d+):(\d+):([\d,]*)")


@dataclass(frozen=True)
class Snapshot:
    """``pg_current_snapshot()``: 64-bit transaction ids; ``running`` lie between the other two."""

    xmin: int
    xmax: int
    running: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """From the server's own text, ``xmin:xmax:xid,xid``."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise DataError(f"the server's snapshot {text!r} is not one")
        running = tuple(int(each) for each in found[3].split(",") if each)
        return cls(int(found[1]), int(found[2]), running)


def horizon(data: Path, page_bytes: int, snapshot: Snapshot, frozen: int) -> Horizon:
    """The commit log as the snapshot saw it.

    Parameters
    ----------
    data : the server's data folder, after a checkpoint that began after the snapshot.
    frozen : uint32, the relation's ``relfrozenxid``: no unfrozen tuple has an older id.

    Raises
    ------
    DataError
        The commit log lacks what it must hold.
    """
    oldest = snapshot.xmax - (snapshot.xmax - frozen) % _XID
    oldest = max(oldest - oldest % 4, 0)
    log = _read(data / "pg_xact", page_bytes, oldest // 4, -(-snapshot.xmax // 4), _XID // 4)
    half = _half_committed(log, oldest, snapshot.xmax)
    first = min((*snapshot.running, *half.tolist()), default=snapshot.xmax)
    tops = _tops(data / "pg_subtrans", page_bytes, first, snapshot.xmax)
    unfinished = np.isin(tops, np.array(snapshot.running, np.int64))
    unfinished[half - first] |= _states(log, tops[half - first] - oldest) != COMMITTED
    _write(log, np.flatnonzero(unfinished) + first - oldest, 0)
    _write(log, half[~unfinished[half - first]] - oldest, COMMITTED)
    return Horizon(
        oldest % _XID, snapshot.xmax % _XID, log, np.zeros(0, np.uint32), np.zeros(0, np.uint32)
    )


def with_multi(before: Horizon, multi: int, updater: int) -> Horizon:
    """The same horizon that also knows which transaction updates in a multixact; 0 is none."""
    at = int(np.searchsorted(before.multis, np.uint32(multi)))
    return before._replace(
        multis=np.insert(before.multis, at, np.uint32(multi)),
        updaters=np.insert(before.updaters, at, np.uint32(updater)),
    )


def _half_committed(log: Bytes, oldest: int, xmax: int) -> Ints:
    """Subtransactions whose parent was about to commit, and tells whether they did."""
    found = np.flatnonzero(log & (log >> 1) & 0x55)
    states = log[found][:, None] >> np.array([0, 2, 4, 6], np.uint8) & 3
    half = (found[:, None] * 4 + np.arange(4))[states == SUB_COMMITTED] + oldest
    below: Ints = half[half < xmax]
    return below


def _tops(folder: Path, page_bytes: int, first: int, xmax: int) -> Ints:
    """For each id from ``first`` on, the transaction that it is part of."""
    found = _read(folder, page_bytes, first * 4, xmax * 4, _XID * 4, needed=False)
    stored = found.view("<u4").astype(np.int64)
    own = np.arange(first, xmax)
    parents = np.where(stored < FIRST_NORMAL, own, own - (own - stored) % _XID)
    tops = parents
    while True:
        inside = tops >= first
        above: Ints = tops.copy()
        above[inside] = parents[tops[inside] - first]
        if np.array_equal(above, tops):
            return above
        tops = above


def _states(log: Bytes, index: Ints) -> Bytes:
    """The states at some places; 0 for those before the log."""
    inside = np.maximum(index, 0)
    found: Bytes = log[inside >> 2] >> (2 * (inside & 3)).astype(np.uint8) & 3
    return np.where(index < 0, np.uint8(0), found)


def _write(log: Bytes, index: Ints, state: int) -> None:
    shift = (2 * (index & 3)).astype(np.uint8)
    np.bitwise_and.at(log, index >> 2, ~(np.uint8(3) << shift))
    np.bitwise_or.at(log, index >> 2, np.uint8(state) << shift)


def _read(
    folder: Path, page_bytes: int, start: int, stop: int, wrap: int, *, needed: bool = True
) -> Bytes:
    """Bytes ``start`` to ``stop`` of an SLRU, which names its files by number in hexadecimal.

    Places count modulo ``wrap``, since transaction ids do. What is not there is an error, or zeros
    if it is not ``needed``.
    """
    file_bytes = PAGES_PER_FILE * page_bytes
    out = np.zeros(stop - start, np.uint8)
    at = start
    while at < stop:
        number, within = divmod(at % wrap, file_bytes)
        size = min(stop - at, file_bytes - within, wrap - at % wrap)
        path = folder / f"{number:04X}"
        found = b""
        if path.exists():
            with path.open("rb") as file:
                file.seek(within)
                found = file.read(size)
        if len(found) < size and needed:
            raise DataError(f"{path}: block {within // page_bytes}: missing or cut short")
        out[at - start : at - start + len(found)] = np.frombuffer(found, np.uint8)
        at += size
    return out
