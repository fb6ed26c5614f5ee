"""What an evaluation counts: the same arithmetic whatever framework computed the logits.

Everything counted here adds up over disjoint rows, so evaluating partition by partition gives what
evaluating all rows at once gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

TOP_K = 5

BIN_WIDTH = 1 / 64
"""Width of a bin of :attr:`Counts.ranks`, in logits. Rows of one bin count as ties."""

HIGHEST = 16.0
"""Logits beyond this, in either direction, share the outermost bin."""

Ranks = Mapping[str, list[int]]
"""Rows of the first and of the second class per bin of their score; JSON-able."""


@dataclass
class Counts:
    """Sums over evaluated rows.

    Attributes
    ----------
    rows : how many there were.
    loss_sum : cross-entropy summed over rows, without the L2 term, in nats.
    top1_correct, top5_correct : rows whose label has the highest, or one of the five highest,
        logits. A row whose logits are not finite has no answer.
    ranks : with two classes, rows of each per bin of the second logit minus the first; without
        them the area under the ROC curve could not be had for several partitions together.
    """

    rows: int = 0
    loss_sum: float = 0.0
    top1_correct: int = 0
    top5_correct: int = 0
    ranks: dict[str, list[int]] = field(default_factory=dict)

    def add(self, logits: npt.NDArray[np.float32], y: npt.NDArray[np.int16]) -> None:
        """Count a batch.

        Parameters
        ----------
        logits : float32 [n, classes].
        y : int16 [n, classes], one-hot.
        """
        labels = y.argmax(axis=1)
        answered = np.isfinite(logits).all(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            wide = logits.astype(np.float64)
            wide -= wide.max(axis=1, keepdims=True)
            own = wide[np.arange(len(labels)), labels]
            losses = np.log(np.exp(wide).sum(axis=1)) - own
            above = (wide > own[:, None]).sum(axis=1)
        self.rows += len(labels)
        self.loss_sum += float(losses.sum())
        self.top1_correct += int((answered & (wide.argmax(axis=1) == labels)).sum())
        self.top5_correct += int((answered & (above < TOP_K)).sum())
        if logits.shape[1] == 2:
            self._rank(np.where(answered, wide[:, 1] - wide[:, 0], 0.0), labels)

    def _rank(self, scores: npt.NDArray[np.float64], labels: npt.NDArray[np.intp]) -> None:
        bins = np.floor(np.clip(scores, -HIGHEST, HIGHEST) / BIN_WIDTH).astype(int)
        found, where = np.unique(bins, return_inverse=True)
        counts = np.zeros((len(found), 2), int)
        np.add.at(counts, (where, labels), 1)
        batch = dict(zip(map(str, found.tolist()), counts.tolist(), strict=True))
        self.ranks = add_ranks((self.ranks, batch))


def add_ranks(parts: Iterable[Ranks]) -> dict[str, list[int]]:
    """The ranks of several disjoint sets of rows together."""
    total: dict[str, list[int]] = {}
    for part in parts:
        for name, (first, second) in part.items():
            before = total.get(name, (0, 0))
            total[name] = [before[0] + first, before[1] + second]
    return total


def roc_area(ranks: Ranks) -> float:
    """Area under the ROC curve: how often a row of the second class scores above one of the first.

    Ties count half (Mann and Whitney's U over the number of pairs). NaN where a class is missing.
    """
    below = 0.0
    firsts = seconds = 0
    for _, (first, second) in sorted(ranks.items(), key=lambda item: int(item[0])):
        below += second * (firsts + first / 2)
        firsts += first
        seconds += second
    pairs = firsts * seconds
    return below / pairs if pairs else float("nan")
