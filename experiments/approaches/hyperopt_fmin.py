"""The driver's side of hyperopt: one ``fmin`` over ``SparkTrials``, in a thread of its own.

Hyperopt dispatches and nothing else: its ``algo`` passes on the points that it is given here. It
looks for something to do once a second, as published.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.approaches.hyperopt_task import Point
from experiments.errors import ServerDied

_log = logging.getLogger("hyperopt-spark")

Result = Mapping[str, Any]
Objective = Callable[[Mapping[str, Any]], dict[str, Any]]


class _Session:
    """A Spark session as far as ``SparkTrials`` uses one: the way to its context."""

    def __init__(self, context: Any) -> None:
        self.sparkContext = _Context(context)
        self.conf = context.getConf()


class _Context:
    """A ``SparkContext`` whose rows need not be read.

    A trial's job has a row that the trial never reads, and Spark ends a Python process with unread
    input: every trial would import, build and read its data again. A range is not sent as input.
    """

    def __init__(self, context: Any) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def parallelize(self, rows: Sequence[int], slices: int | None = None) -> Any:
        """As many rows, which number themselves."""
        return self._context.parallelize(range(len(rows)), slices)


class Fmin:
    """A search of hyperopt's that is told what to try.

    Parameters
    ----------
    context : a ``SparkContext``; this does not outlive it.
    parallelism : trials at once.
    objective : runs in an executor; takes a :class:`Point` as a mapping.

    Raises
    ------
    ServerDied
        The application is gone.
    """

    def __init__(self, context: Any, parallelism: int, objective: Objective) -> None:
        from hyperopt import SparkTrials

        _log.setLevel(logging.ERROR)
        self.context = context
        try:
            self._trials = SparkTrials(parallelism, spark_session=_Session(context))
        except Exception as error:
            raise ServerDied(f"Spark's application is gone ({type(error).__name__})") from error
        self._objective = objective
        self._given: queue.SimpleQueue[Sequence[Point]] = queue.SimpleQueue()
        self._next: deque[Point] = deque()
        self._thread = threading.Thread(target=self._run, name="fmin", daemon=True)
        self._thread.start()

    @property
    def lives(self) -> bool:
        """Whether points are still tried."""
        return self._thread.is_alive()

    def submit(self, points: Sequence[Point]) -> None:
        """Try these next, at least one."""
        self._given.put(points)

    def ended(self) -> dict[str, Result | None]:
        """Every trial that is over, by its name: the objective's result; None if it was lost."""
        from hyperopt.base import JOB_STATE_CANCEL, JOB_STATE_DONE, JOB_STATE_ERROR

        over = {JOB_STATE_DONE, JOB_STATE_ERROR, JOB_STATE_CANCEL}
        return {
            trial["misc"]["vals"]["trial"][0]: (
                trial["result"] if trial["state"] == JOB_STATE_DONE else None
            )
            # The public list leaves out the trials that failed.
            for trial in list(self._trials._dynamic_trials)
            if trial["state"] in over
        }

    def stop(self) -> None:
        """Try nothing more and forget what is tried; does not wait. Safe to call again."""
        _log.setLevel(logging.CRITICAL)  # what ends now was not to go on
        self._trials.delete_all()
        self._given.put([])

    def _run(self) -> None:
        from hyperopt import fmin
        from hyperopt.exceptions import AllTrialsFailed
        from hyperopt.pyll import scope

        # Points are given, so the space only names what they have; nothing is drawn from it.
        space = {name: scope.hyperopt_param(name, scope.randint(2)) for name in Point._fields}
        try:
            fmin(
                self._objective,
                space,
                algo=self._algo,
                trials=self._trials,
                max_queue_len=self._trials.parallelism,
                verbose=False,
                return_argmin=False,
            )
        except AllTrialsFailed:
            pass  # hyperopt has no best one then, and nobody asks it for one
        except Exception:  # noqa: BLE001 - the driver sees that this thread has ended
            _log.exception("fmin ended")

    def _algo(self, ids: Sequence[int], domain: Any, trials: Any, seed: int) -> list[Any]:
        """The next points as hyperopt's documents; none ends the search, so wait for one."""
        if not self._next:
            self._next.extend(self._given.get())
        points = [self._next.popleft() for _ in ids[: len(self._next)]]
        miscs = [
            {
                "tid": number,
                "cmd": domain.cmd,
                "workdir": None,
                "idxs": {name: [number] for name in Point._fields},
                "vals": {name: [value] for name, value in point._asdict().items()},
            }
            for number, point in zip(ids, points, strict=False)
        ]
        results = [domain.new_result() for _ in points]
        found: list[Any] = trials.new_trial_docs(
            ids[: len(points)], [None] * len(points), results, miscs
        )
        return found
