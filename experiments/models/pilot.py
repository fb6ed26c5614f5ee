"""How long this machine takes for a model, from a few batches of real training.

``python -m experiments.models.pilot`` reads a job as JSON from standard input, with ``batches`` and
``threads`` beside ``model``, and writes what it found to standard output. It is a process of its
own because a framework can be started once.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import psutil

from experiments.models import codec, frameworks
from experiments.models.session import Session

ROUNDS = 5
ROUND_SECONDS = 0.2
"""Batches are trained for so long, so many times; the median round counts."""


def line(sizes: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Seconds for each row and beside them, neither below 0, from two batch sizes' seconds."""
    (small, large), (first, last) = sizes, seconds
    row = (last - first) / (large - small)
    if row <= 0:
        return 0.0, statistics.fmean(seconds)
    if first < small * row:
        return last / large, 0.0
    return row, first - small * row


def measure(work: Mapping[str, Any], batches: Sequence[int]) -> dict[str, Any]:
    """A row of the device table, transfer in seconds (:class:`experiments.specs.devices.Row`).

    Parameters
    ----------
    work : a worker's ``model``.
    batches : two sizes.
    """
    frameworks.start("tensorflow")
    process = psutil.Process()
    before = process.memory_info().rss
    session = Session(0)
    start = time.perf_counter()
    session.warm(work)
    building = time.perf_counter() - start
    session.load(work, session.initial_state(work, 0))
    step = session.step
    generator = np.random.default_rng(0)
    found: dict[str, list[float]] = {"train": [], "valid": []}
    for size in batches:
        x = generator.random((size, *work["input_shape"]), np.float32)
        y = np.eye(work["classes"], dtype=np.int16)[generator.integers(0, work["classes"], size)]

        def train(x: Any = x, y: Any = y) -> None:
            step.train_batch(x, y)
            step.totals()

        def valid(x: Any = x) -> None:
            step.predict(x)

        found["train"].append(_seconds(train))
        found["valid"].append(_seconds(valid))
    weights, moments, count = step.get_state()
    state = codec.decode(codec.encode(weights, moments, count, step.layout))
    train_row, train_batch = line(batches, found["train"])
    valid_row, valid_batch = line(batches, found["valid"])
    return {
        "weights": int(state.weights.size),
        "trainable": int(state.optimizer.size) // 2,
        "train_row": train_row,
        "train_batch": train_batch,
        "valid_row": valid_row,
        "valid_batch": valid_batch,
        "start": building,
        "transfer": _seconds(lambda: step.set_state(state)),
        "fixed_bytes": max(0, process.memory_info().rss - before),
        "row_bytes": 0.0,
        "source": "measured",
    }


def _seconds(work: Callable[[], None]) -> float:
    """Of one call, in the median round; the first call is not counted."""
    work()
    rounds = []
    for _ in range(ROUNDS):
        calls, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < ROUND_SECONDS:
            work()
            calls += 1
        rounds.append(passed / calls)
    return statistics.median(rounds)


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    frameworks.set_threads(asked["threads"])
    print(json.dumps(measure(asked["model"], asked["batches"])))
