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

SMALLEST, LARGEST, BINS = 1e-3, 1e4, 8192
"""Scores, in logits, are binned by the logarithm of ``1 + |score| / SMALLEST``, :data:`BINS` on
each side of zero up to :data:`LARGEST`: 0.2 % of a score wide, or 2e-6 near zero. Rows of one bin
count as ties."""

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
        logits, the first of equal ones. A row whose logits are not finite has no answer.
    """

    rows: int = 0
    loss_sum: float = 0.0
    top1_correct: int = 0
    top5_correct: int = 0
    _histogram: npt.NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    @property
    def ranks(self) -> dict[str, list[int]]:
        """With two classes, rows of each by the second logit minus the first.

        Without them the area under the ROC curve could not be had for several partitions together.
        Rows without an answer are left out.
        """
        if self._histogram is None:
            return {}
        found = np.flatnonzero(self._histogram.any(axis=1))
        names = map(str, (found - BINS).tolist())
        return dict(zip(names, self._histogram[found].tolist(), strict=True))

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
            own = wide[np.arange(len(labels)), labels][:, None]
            losses = np.log(np.exp(wide).sum(axis=1)) - own[:, 0]
        earlier = np.arange(logits.shape[1]) < labels[:, None]
        above = ((wide > own) | ((wide == own) & earlier)).sum(axis=1)
        self.rows += len(labels)
        self.loss_sum += float(losses.sum())
        self.top1_correct += int((answered & (above == 0)).sum())
        self.top5_correct += int((answered & (above < TOP_K)).sum())
        if logits.shape[1] == 2:
            self._rank((wide[:, 1] - wide[:, 0])[answered], labels[answered])

    def _rank(self, scores: npt.NDArray[np.float64], labels: npt.NDArray[np.intp]) -> None:
        if self._histogram is None:
            self._histogram = np.zeros((2 * BINS + 1, 2), np.int64)
        np.add.at(self._histogram, (BINS + bins(scores), labels), 1)


def bins(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The bin of each score, from -:data:`BINS` to :data:`BINS`."""
    sizes = np.log1p(np.minimum(np.abs(scores), LARGEST) / SMALLEST)
    steps = np.rint(sizes * (BINS / np.log1p(LARGEST / SMALLEST)))
    signed: npt.NDArray[np.float64] = np.sign(scores) * steps
    return signed.astype(np.int64)


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
