"""The engine listening to a database that hops by itself, with a call that breaks at any point."""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.approaches.calling import catch_up, known_steps
from experiments.approaches.following import Follower, InTheDatabase
from experiments.errors import ReproduceError, UnitFailed
from experiments.mop import invariants
from experiments.mop.engine import Engine
from experiments.telemetry.journal import Event, Journal, read
from experiments.warehouse.call import Call
from experiments.warehouse.record import Step

MODELS, WORKERS = 3, 2


class Database:
    """Speaks as the procedure does. ``breaks``: after which message it dies, and how many before
    that never arrive; now and then only one segment commits.

    What was committed when it died is told again by the next call, as far as the listener has not
    heard of it; messages that were on their way may be lost.
    """

    def __init__(self, epochs: int, breaks: dict[int, int], seed: int) -> None:
        self.known: set[Step] = set()
        self.kill_at = 0
        self._epochs = epochs
        self._breaks = breaks
        self._sent = 0
        self._clock = 0
        self._random = random.Random(seed)
        self._committed: dict[Step, dict[str, Any]] = {}
        self._pending: list[dict[str, Any]] = []
        self._script = self._run()
        self._lost = 0

    def start(self) -> None:
        """A listener that is new; what its journal lacks is told first."""
        self._script = self._run()

    def receive(self) -> dict[str, Any] | None:
        while True:
            message = next(self._script, None)
            self._sent += 1
            if self._sent == self.kill_at:
                raise Killed
            if self._lost:
                self._lost -= 1
                if not self._lost or message is None:
                    self._lost = 0
                    self._script = self._run()
                continue
            if message is None:
                return None
            if self._sent in self._breaks:
                self._lost = self._breaks[self._sent]
                continue
            return message

    def cancel(self) -> None:
        pass

    def _tell(self, event: str, **detail: Any) -> dict[str, Any]:
        self._clock += 5
        return {"event": event, "at": self._clock, **detail}

    def _run(self) -> Iterator[dict[str, Any]]:
        for step in sorted(set(self._committed) - self.known, key=self._order):
            yield self._tell("finished", **self._committed[step])
        yield self._tell("ready")
        for epoch in range(1, self._epochs + 1):
            yield self._tell("round", number=epoch)
            for turn in range(MODELS):
                steps = [Step("train", (turn - w) % MODELS, w, epoch) for w in range(WORKERS)]
                yield from self._batch(steps)
            yield from self._batch(
                [Step("valid", m, w, epoch) for m in range(MODELS) for w in range(WORKERS)]
            )
            yield self._tell("round_finished", number=epoch)

    def _batch(self, steps: list[Step]) -> Iterator[dict[str, Any]]:
        steps = [step for step in steps if step not in self._committed]
        if not steps:
            return
        yield self._tell("started", steps=[list(step) for step in steps])
        if self._random.random() < 0.1:  # the first segment commits, then all is lost
            steps, self._lost = steps[:1], 1
        for step in steps:
            version = 1 + sum(s.model == step.model and s.kind == "train" for s in self._committed)
            self._clock += 5
            spans = [[step.kind, self._clock - 4, self._clock - 1, 0]]
            report = {
                "spans": spans,
                "rows": 4,
                "loss": 1.0,
                "metrics": {},
                "ranks": {},
                "counters": {},
            }
            self._committed[step] = {**step._asdict(), "version": version, "report": report}
        for step in steps:
            yield self._tell("finished", **self._committed[step])

    def _order(self, step: Step) -> tuple[int, bool, int]:
        return step.epoch, step.kind == "valid", self._committed[step]["version"]


class Killed(BaseException):
    """The listener is gone."""


def listen(folder: Path, database: Database, epochs: int, kill_at: int = 0) -> list[Event]:
    """As the approach does, from where the journal stands; ends before message ``kill_at``."""
    path = folder / "journal.jsonl"
    database.known = known_steps(read(path))
    database.kill_at = kill_at
    with Journal(path, "fake") as journal:
        journal.append("run_started")
        catch_up(cast(Call, database), journal, database.known)
        follower = Follower(cast(Call, database), journal, database.known)
        engine = Engine(
            MODELS,
            WORKERS,
            follower,
            follower,
            journal,
            InTheDatabase(),
            evaluation=follower,
            clock=follower.clock,
        )
        finished = {event.epoch for event in read(path) if event.kind == "epoch_finished"}
        for epoch in sorted({*range(1, epochs + 1)} - finished):
            follower.begin(epoch)
            engine.run_epoch(epoch)
            engine.evaluate(epoch)
        follower.end()
    return list(read(path))


@settings(deadline=None, max_examples=100)
@given(
    breaks=st.dictionaries(st.integers(2, 60), st.integers(1, 6), max_size=4),
    kills=st.lists(st.integers(2, 60), max_size=3),
    seed=st.integers(0, 9),
)
def test_whatever_is_lost_on_the_way_the_journal_shows_valid_epochs(
    breaks: dict[int, int], kills: list[int], seed: int
) -> None:
    """Servers that die, listeners that are killed: also while they catch up."""
    database = Database(2, breaks, seed)
    with tempfile.TemporaryDirectory() as folder:
        for kill_at in sorted(kills):
            with contextlib.suppress(Killed):
                listen(Path(folder), database, 2, kill_at)
        events = listen(Path(folder), database, 2)
    invariants.check(events, MODELS, WORKERS, [1, 2])
    for kind in ("train", "valid"):
        done = [
            (e.epoch, e.model, e.partition)
            for e in events
            if e.kind == "unit_finished" and e.detail["kind"] == kind
        ]
        assert len(done) == len(set(done)) == 2 * MODELS * WORKERS
    assert sum(event.kind == "evaluated" for event in events) == 2 * MODELS


def test_a_call_that_ends_too_early_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReproduceError, match="ended before its work was done"):
        listen(tmp_path, Database(1, {}, 0), 2)


def test_an_error_of_the_database_fails_the_units_that_ran(tmp_path: Path) -> None:
    class Failing(Database):
        def receive(self) -> dict[str, Any] | None:
            message = super().receive()
            if message is not None and message["event"] == "finished":
                raise ReproduceError("training in the database failed: out of luck")
            return message

    with pytest.raises(UnitFailed, match="out of luck"):
        listen(tmp_path, Failing(1, {}, 0), 1)
    events = list(read(tmp_path / "journal.jsonl"))
    failed = [event for event in events if event.kind == "unit_failed"]
    assert len(failed) == WORKERS
