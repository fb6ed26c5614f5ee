"""Wall times of a run's parts, from its journal: ETL, execution, and what interrupted it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.analysis import tidy
from experiments.analysis.runs import Run
from experiments.errors import DataError

ETL_PHASES = ("load", "pack", "export", "cast", "read")
"""Parts of an ETL, in the order in which rows go through them; in a journal after ``etl.``."""


@dataclass(frozen=True)
class Part:
    """What a phase of the ETL took: seconds, and the bytes that it moved (0: not recorded)."""

    seconds: float
    bytes: int


def etl(run: Run) -> float:
    """Seconds of the ETL, over all starts of the run.

    What the approach does to bring the prepared data set's files to where it trains. Preparing the
    files (stage ``dataset``) is the same for everyone and not part of it. A start that was killed
    in its ETL left no stage ``etl``, but what it had finished by then counts.

    Raises
    ------
    DataError
        The journal has no such stage.
    """
    found = [
        float(event.detail["seconds"])
        for event in run.events
        if event.kind == "stage" and event.detail.get("name") == "etl"
    ]
    if not found:
        raise DataError(f"{run.folder}: the journal has no stage 'etl'")
    return max(sum(found), sum(part.seconds for part in etl_parts(run).values()))


def etl_parts(run: Run) -> dict[str, Part]:
    """The phases of the ETL that a run has, of :data:`ETL_PHASES`, over all its starts.

    What workers do at once takes as long as the slowest of them; bytes are of all. What a worker
    that died reads again, in an epoch, is not part of it.
    """
    seconds: dict[str, dict[int | None, float]] = {}
    moved: dict[str, int] = defaultdict(int)
    for event in run.events:
        room, _, phase = (event.phase or "").partition(".")
        if room != "etl" or event.epoch is not None:
            continue
        of_worker = seconds.setdefault(phase, defaultdict(float))
        of_worker[event.worker] += event.seconds
        moved[phase] += event.bytes
    return {
        phase: Part(_slowest(seconds[phase]), moved[phase])
        for phase in ETL_PHASES
        if phase in seconds
    }


def _slowest(of_worker: Mapping[int | None, float]) -> float:
    """What the driver took by itself, and the slowest of the workers."""
    workers = [each for worker, each in of_worker.items() if worker is not None]
    return of_worker.get(None, 0.0) + max(workers, default=0.0)


def reading(run: Run) -> float:
    """Seconds of the ETL in which workers read page files; 0 where nobody reads so."""
    part = etl_parts(run).get("read")
    return part.seconds if part else 0.0


def execution(run: Run) -> float:
    """Seconds of training and evaluation: the sum over all epochs, start to end.

    From each ``epoch_started`` to its ``epoch_finished`` on the driver's clock, so what lies before
    the first epoch (ETL, and ``init``: starting workers and building networks) does not count. An
    approach that takes its configurations one after another has such a pair for each of them. An
    epoch that was interrupted counts up to its last event before the interruption; the time until
    the run went on does not count.

    Raises
    ------
    DataError
        An epoch of the run's specification was not started or not finished.
    """
    total = start = last = 0
    is_open = False
    finished: set[tuple[int, int | None]] = set()
    for event in run.events:
        if event.kind in {"run_started", "epoch_started"}:
            total += last - start if is_open else 0
            is_open = event.kind == "epoch_started"
            start = last = event.mono_ns
        elif is_open and event.epoch is not None:
            last = event.mono_ns
            if event.kind == "epoch_finished":
                total += last - start
                is_open = False
                finished.add((event.epoch, event.model))
    one_by_one = any(model is not None for _, model in finished)
    models = range(len(run.spec.configs)) if one_by_one else (None,)
    expected = {(epoch, model) for epoch in range(1, run.spec.epochs + 1) for model in models}
    if is_open or finished != expected:
        differ = sorted({epoch for epoch, _ in finished ^ expected}) or "of the last start"
        raise DataError(f"{run.folder}: the journal lacks the start or the end of epochs {differ}")
    return total / 1e9


def training(run: Run) -> float:
    """Seconds from the first span of a unit to the end of the last unit of training.

    Of approaches that hop, which evaluate after that; in runs of one epoch.

    Raises
    ------
    DataError
        The journal has no unit of training.
    """
    table = tidy.spans(run)
    table = table[table["epoch"].notna() & (table["phase"] != "idle")]
    trained = table[table["phase"] == "train"]
    if trained.empty:
        raise DataError(f"{run.folder}: the journal has no unit of training")
    return int(trained["end_ns"].max() - table["start_ns"].min()) / 1e9


def interrupted(run: Run) -> bool:
    """Whether the run was started again, or went on after a role or a worker of it had died.

    Its times then hold work that was done twice, and the wait for what had died.
    """
    starts = sum(event.kind == "run_started" for event in run.events)
    begun_again = any(event.detail.get("earlier") for event in run.events)
    lost = any(event.kind in {"unit_lost", "interrupted"} for event in run.events)
    return starts > 1 or begun_again or lost or run.restarts > 0
