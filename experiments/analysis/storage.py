"""How much room the data take for training: in the database, in files beside it, in memory (§4).

The paper's blow-up is storage used by the size of the original data. The original is here what
``COPY`` loaded, rows as they are; packed tables, which the paper leaves out, are told apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from experiments.analysis.runs import Run

_OUTSIDE = ("export", "cast")
_EXPORT, _LOAD, _PACK = "export", "load", "pack"


@dataclass(frozen=True)
class Stored:
    """Bytes of one run's data, training and validation rows together.

    Attributes
    ----------
    loaded : rows loaded into the database; 0 where none were.
    packed : the same rows again, in packed tables of the database.
    outside : files that the ETL wrote beside the database, for training.
    held : decoded rows that workers hold in memory, where they tell.
    """

    loaded: int
    packed: int
    outside: int
    held: int


def stored(run: Run) -> Stored:
    """What a run's ETL wrote, by its journal; of what was done twice the last counts."""
    moved: dict[tuple[str, int | None, str, int], int] = {}
    held: dict[int | None, int] = {}
    parts: dict[str, int] = {}
    start = 0
    for event in run.events:
        if event.kind == "run_started":
            start, parts = start + 1, {}
        if event.kind == "shard_read":
            held[event.worker] = int(event.detail["held_bytes"])
        room, _, phase = (event.phase or "").partition(".")
        if room == "etl" and event.epoch is None:
            split = str(event.detail.get("split", ""))
            number = 0 if split or event.worker is not None else parts.get(phase, 0)
            parts[phase] = number + 1
            moved[phase, event.worker, split, number] = event.bytes
    total = {
        name: sum(size for (phase, *_), size in moved.items() if phase == name)
        for name in (_LOAD, _PACK, *_OUTSIDE)
    }
    exports = _EXPORT in {phase for phase, *_ in moved}
    outside = sum(total[name] for name in _OUTSIDE) + (total[_PACK] if exports else 0)
    return Stored(total[_LOAD], 0 if exports else total[_PACK], outside, sum(held.values()))


def original(runs: Iterable[Run]) -> int | None:
    """Bytes of the original data of runs of one experiment; nothing where no run loaded them."""
    return max((stored(run).loaded for run in runs), default=0) or None
