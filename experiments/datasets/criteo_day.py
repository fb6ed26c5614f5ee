"""One day of click logs: which lines are drawn, their records, and which are bad."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.datasets.criteo_encoding import CriteoEncoding
from experiments.datasets.raw import Records, Rejected
from experiments.datasets.shuffle import key64, mix64
from experiments.datasets.source import SPLITS, Split
from experiments.datasets.text_windows import Window

VALID = 0.1
"""Validation's share of the sample, as in the paper."""

_CONTENT_BYTES = 1 << 12
_BITS = 53
_NEWLINE = ord("\n")


@dataclass(frozen=True)
class Taken:
    """The sampled lines of a window: records of each split, perhaps none, and bad lines."""

    rows: Mapping[Split, Records]
    rejected: list[Rejected]


class Day:
    """Takes the lines of a day, window by window.

    Parameters
    ----------
    path : the day's file.
    number : of the day; with the line's number and the seed it decides who is drawn.
    fraction : of all lines that are drawn.
    line : lines before the first that comes.

    Attributes
    ----------
    line : lines that were taken, and those before.
    """

    def __init__(
        self,
        path: Path,
        number: int,
        encoding: CriteoEncoding,
        fraction: float,
        seed: int,
        line: int,
    ) -> None:
        self.line = line
        self._file = str(path)
        self._encoding = encoding
        self._sampled = Lot(key64("criteo logs", seed, number, "sample"), fraction)
        self._valid = Lot(key64("criteo logs", seed, number, "valid"), VALID)

    def take(self, window: Window) -> Taken:
        """Encode the next window's sampled lines."""
        ends = np.flatnonzero(np.frombuffer(window.text, np.uint8) == _NEWLINE) + 1
        chosen = np.flatnonzero(self._sampled.falls_on(self.line + np.arange(len(ends))))
        starts = np.concatenate([[0], ends])[chosen].tolist()
        lines = [
            window.text[start:end] for start, end in zip(starts, ends[chosen].tolist(), strict=True)
        ]
        sifted = self._encoding.sift(b"".join(lines))
        numbers = self.line + chosen
        rejected = [
            self._rejected(int(numbers[index]), why, lines[index])
            for index, why in sorted(sifted.bad.items())
        ]
        valid = self._valid.falls_on(numbers[sifted.kept])
        chosen_by_split = {split: valid == (split == "valid") for split in SPLITS}
        self.line += len(ends)
        if window.cut_off:
            why = "is cut off: it ends the file without a newline"
            rejected.append(self._rejected(self.line, why, window.cut_off))
        return Taken(
            {split: (sifted.slots[i], sifted.labels[i]) for split, i in chosen_by_split.items()},
            rejected,
        )

    def _rejected(self, line: int, why: str, content: bytes) -> Rejected:
        short = content if len(content) <= _CONTENT_BYTES else b""
        return Rejected(self._file, f"line {line + 1}", why, short)


class Lot:
    """Falls on a share of all numbers, each by its hash alone.

    Hashes are cut to 53 bits, which a float holds exactly: so does the share.
    """

    def __init__(self, key: np.uint64, share: float) -> None:
        self._key = key
        self._below = np.uint64(round(share * 2**_BITS))

    def falls_on(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Of which of these numbers, bool [n]."""
        hashes = mix64(numbers.astype(np.uint64) ^ self._key) >> np.uint64(64 - _BITS)
        chosen: NDArray[np.bool_] = hashes < self._below
        return chosen
