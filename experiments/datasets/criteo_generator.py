"""Small click logs in the format of Criteo's: ``day_N.gz`` of generated lines, bad ones if wanted.

They go the whole way that the real ones go, in seconds. The same arguments make the same text on
every machine; the packed bytes are the same where zlib is.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np

from experiments.datasets.aside import aside, make_folder, publish, remove, sweep
from experiments.datasets.criteo_lines import CriteoLines
from experiments.datasets.criteo_logs import DAYS, day_file
from experiments.errors import DataError
from experiments.files import unwritable

ROWS = 20_000
"""Lines of a day: a quarter of three such days gives 13,500 train and 1,500 validation rows."""

MADE = "generated.json"
"""Beside the days: what they were made of."""

_DAY_ROWS = 10**9
_BATCH = 1 << 13
_LEVEL = 1


def generate(
    folder: Path, rows: int = ROWS, days: tuple[int, ...] = DAYS, seed: int = 0, bad: int = 0
) -> None:
    """Make a folder of days; nothing if it is there already.

    Parameters
    ----------
    folder : appears whole or not at all.
    rows : lines of each day; more rows begin with the same lines.
    seed : of the lines.
    bad : of them are spoilt in each day, see :func:`bad_lines`.

    Raises
    ------
    DataError
        The folder holds something else.
    EnvironmentFault
        The disk is full or the place cannot be written.
    """
    made = {"rows": rows, "days": list(days), "seed": seed, "bad": bad}
    if folder.exists() and any(folder.iterdir()):
        if _read(folder / MADE) != made:
            raise DataError(f"{folder} holds something else than these click logs; move it away")
        return
    try:
        make_folder(folder.parent)
        with aside(folder) as making:
            if making is None:  # another process has made it meanwhile
                return
            sweep(folder.parent)
            for day in days:
                remove(making / day_file(day))  # what a killed one left
                _write(making / day_file(day), CriteoLines("train", seed), day, rows, bad)
            (making / MADE).write_text(json.dumps(made) + "\n")
            publish(making, folder)
    except OSError as error:
        raise unwritable(folder, error) from error


def bad_lines(rows: int, bad: int) -> list[int]:
    """The lines of a day that are spoilt, from 0: evenly spread, never the first."""
    return [(number + 1) * rows // (bad + 1) for number in range(bad)]


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _write(path: Path, source: CriteoLines, day: int, rows: int, bad: int) -> None:
    spoilt = {line: number for number, line in enumerate(bad_lines(rows, bad))}
    with path.open("xb") as file:
        with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
            for first in range(0, rows, _BATCH):
                numbers = np.arange(first, min(first + _BATCH, rows))
                text = source.lines(day * _DAY_ROWS + numbers)
                here = [line for line in spoilt if first <= line <= numbers[-1]]
                if here:
                    lines = text.splitlines(keepends=True)
                    for line in here:
                        lines[line - first] = spoil(lines[line - first], spoilt[line])
                    text = b"".join(lines)
                packed.write(text)
        file.flush()
        os.fsync(file.fileno())


def spoil(line: bytes, number: int) -> bytes:
    """A line made bad, each number in another way, up to eight."""
    fields = line.removesuffix(b"\n").split(b"\t")
    match number % 8:
        case 0:
            del fields[-1]
        case 1:
            fields.append(b"00000000")
        case 2:
            fields[0] = b"2"
        case 3:
            fields[1] = b"1.5"
        case 4:
            fields[2] = b"nan"
        case 5:
            fields[14] = b"0123456789"
        case 6:
            fields[15] = b"\0" * 8
        case _:
            fields[16] = b"nan"
    return b"\t".join(fields) + b"\n"
