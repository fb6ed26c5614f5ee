"""The work of one rank: its share of an epoch in which all workers train one model together.

Every step takes one batch, the global one, of which each rank has a share of its own rows. All
ranks take the same number of steps; one whose rows end earlier goes on with its first ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from experiments.models import process_group
from experiments.models.process_group import Group
from experiments.models.worker import TRAIN, Block, Report, UnitWorker, merge

if TYPE_CHECKING:
    from experiments.models.emulated import EmulatedStep
    from experiments.models.steps_ddp import DataParallelStep


def share(batch: int, size: int, rank: int) -> int:
    """Rows of a batch that a rank of ``size`` has; what is left over goes to the first ranks."""
    return batch // size + (rank < batch % size)


def steps(batch: int, rows: Sequence[int]) -> int:
    """Steps of an epoch: as many as it takes until every rank has seen all its rows.

    Parameters
    ----------
    batch : rows of all ranks in one step, at least one for each rank.
    rows : of each rank; where they and their shares are even this is ``ceil(sum(rows) / batch)``.
    """
    shares = (share(batch, len(rows), rank) for rank in range(len(rows)))
    return max(-(-own // each) for own, each in zip(rows, shares, strict=True))


def train(
    worker: UnitWorker,
    job: Mapping[str, Any],
    group: Group,
    batch: int,
    source: Path,
    blocks: Callable[[int], Generator[Block, None, None]],
    rows: Sequence[int],
    save: Callable[[bytes], None] | None,
) -> Report:
    """Load a state, train it for an epoch in step with the other ranks, save it on one of them.

    Parameters
    ----------
    batch : rows of all ranks in one step, at least one for each rank.
    blocks : gives this rank's first so many rows, from the start again after its last.
    rows : of every rank.
    save : takes the state after training; None on all ranks but one. Statistics of batch
        normalization are that rank's.

    Returns
    -------
    The report of a unit; its counters say too how many ``steps`` there were, how many
    ``rows_repeated``, the ``reduced_bytes`` of all gradient buckets, the ``sent_bytes`` that a ring
    makes of these, and a ``weights_digest`` that must be the same on all ranks.

    Raises
    ------
    ServerDied
        Another rank left or died; nothing was saved.
    """
    count = steps(batch, rows)
    own = share(batch, group.size, group.rank)
    mine = {**job, "model": {**job["model"], "batch_size": own}}
    reports = [worker.load_file(mine, source)]
    step = cast("DataParallelStep | EmulatedStep", worker.session.step)
    # Emulated ranks meet without torch.
    emulated = mine["model"].get("emulation") is not None
    members = contextlib.nullcontext() if emulated else process_group.joined(group)
    with members, step.together(group, batch) as traffic:
        worker.start(TRAIN, mine)
        with contextlib.closing(blocks(count * own)) as stream:
            for block in stream:
                worker.feed(TRAIN, *block)
        reports.append(worker.finish(TRAIN))
    if save is not None:
        reports.append(worker.dump(save))
    report = merge(reports)
    report["counters"] = {
        **report["counters"],
        "steps": traffic.steps,
        "rows_repeated": count * own - rows[group.rank],
        "reduced_bytes": traffic.bytes,
        "sent_bytes": traffic.sent(group.size),
        "weights_digest": step.digest(),
    }
    return report
