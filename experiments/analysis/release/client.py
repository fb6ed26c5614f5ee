"""Logs of clients, schedulers and ranks: events with their times, and what clients print.

One reader for all three, since a client's log holds what its server and its scheduler said:

* ``INFO:  Start fit_transition training: 2020-08-18 16:50:01  (seg3 slice1 ...)`` of the database,
* ``Start training-train: 2021-02-05 17:03:11`` of a driver or a rank,
* ``TIME: 12, EVENT: TRAIN_LAUNCHED, ITERATION: 0, WORKER: 3, MST: 5, ..., EPOCH: 0`` of Cerebro's
  scheduler, whose times are seconds since it began,
* ``CEREBRO => Time: ..., Model: model_3, Epoch: 2, ...`` of Cerebro-Spark,
* ``LEFT JOBS: 0: ...`` and a dictionary of measures of a CTQ client.

All other lines (progress bars, warnings) are none of ours.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from experiments.analysis.release.events import Intervals
from experiments.analysis.release.text import Account

TIME = r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"
_MARK = re.compile(rf"(?:INFO:\s+)?(Start|End) (.*?): {TIME}(?:\s+\((seg\d+)\b.*\))?\s*$")
_LIKE_MARK = re.compile(r"INFO:\s+(Start|End) |(Start|End) .*: \d")
_SCHEDULER = re.compile(r"TIME: (\d+), EVENT: (\w+), (.+)$")
_LEFT = re.compile(rf"LEFT JOBS: 0: {TIME}\s*$")
_EPOCH_OF_UDAF = re.compile(r"MOP training epoch-\d+$")
_SPARK = "CEREBRO => Time: "
_NUMBERS = re.compile(r"\d+")
_MOST = 100_000
_ZERO = datetime.fromisoformat("2020-01-01")
"""Where seconds are counted from; the logs' clocks know no time zone."""

ERROR = "top5_error"


@dataclass(frozen=True)
class SparkEpoch:
    """A model of Cerebro-Spark after an epoch, both from 0: when, and its top-5 error."""

    model: int
    epoch: int
    time: str
    error: float


@dataclass
class Told:
    """What one such log tells.

    Attributes
    ----------
    segments, workers, ranks : time between events of the database's segments, of the scheduler's
        workers, and of whoever wrote this log.
    preloaded_s : when the last worker had its data, in seconds since the scheduler began.
    evaluated_s : by model and epoch, from 0, when its last evaluation ended, since the scheduler
        began.
    training_from : when the client says that training began.
    loaded : when a rank first had all its data.
    epoch_ends : when epochs ended, of UDAF and CTQ.
    spark : of Cerebro-Spark.
    measures : by configuration, top-5 error after each epoch: what a CTQ client printed last.
    batches : the same of each batch of a search.
    """

    segments: Intervals = field(default_factory=Intervals)
    workers: Intervals = field(default_factory=Intervals)
    ranks: Intervals = field(default_factory=Intervals)
    preloaded_s: float | None = None
    evaluated_s: dict[tuple[int, int], float] = field(default_factory=dict)
    training_from: str | None = None
    loaded: str | None = None
    epoch_ends: list[str] = field(default_factory=list)
    spark: list[SparkEpoch] = field(default_factory=list)
    measures: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    batches: list[Mapping[str, tuple[float, ...]]] = field(default_factory=list)
    _training: bool = False


def parse(lines: Iterable[tuple[int, str]], account: Account, node: str) -> Told:
    """What a log tells; ``node`` is whose log it is."""
    told = Told()
    for number, text in lines:
        try:
            account.used += _line(told, text, node)
        except ValueError as error:
            account.damage(number, str(error), text)
    return told


def _line(told: Told, text: str, node: str) -> bool:
    """Note a line; whether it was one of ours. :class:`ValueError` says what is wrong with it."""
    if text.startswith("TIME: "):
        return _scheduled(told, text)
    if text.startswith(_SPARK):
        return _spark(told, text)
    if text.startswith("{") and text.rstrip().endswith("}"):
        return _measures(told, text)
    if "ENDING BATCH:" in text:
        told.batches.append(told.measures)
        return True
    if (left := _LEFT.match(text)) and len(told.epoch_ends) < _MOST:
        told.epoch_ends.append(left[1])
        return True
    return _mark(told, text, node)


def _mark(told: Told, text: str, node: str) -> bool:
    mark = _MARK.match(text)
    if mark is None:
        if _LIKE_MARK.match(text):
            raise ValueError("an event without its time")
        return False
    edge, name, time, segment = mark.groups()
    second = (datetime.fromisoformat(time) - _ZERO).total_seconds()
    if segment is not None:
        if not told.segments.add(segment, f"{edge} {name}", second):
            raise ValueError("earlier than the line before it of the same segment")
        return True
    if edge == "End" and _EPOCH_OF_UDAF.match(name) and len(told.epoch_ends) < _MOST:
        told.epoch_ends.append(time)
    name = _NUMBERS.sub("#", name.split(":")[0].split(",")[0])
    if (edge, name) == ("Start", "TRAINING") and told.training_from is None:
        told.training_from = time
    told._training |= name.startswith("training-")
    if (edge, name) == ("End", "loading data") and not told._training:
        told.loaded = time
    if not told.ranks.add(node, f"{edge} {name}", second):
        raise ValueError("earlier than the line before it")
    return True


def _scheduled(told: Told, text: str) -> bool:
    line = _SCHEDULER.match(text)
    if line is None:
        raise ValueError("a scheduler's line that is not whole")
    second, event = float(line[1]), line[2]
    fields = dict(each.split(": ", 1) for each in line[3].split(", ") if ": " in each)
    try:
        worker = str(int(fields["WORKER"]))
        if event == "PRELOAD_COMPLETED":
            told.preloaded_s = max(told.preloaded_s or 0.0, second)
        elif event == "VALID_COMPLETED":
            key = int(fields["MST"]), int(fields["EPOCH"])
            if key in told.evaluated_s or len(told.evaluated_s) < _MOST:
                told.evaluated_s[key] = max(told.evaluated_s.get(key, 0.0), second)
    except KeyError as missing:
        raise ValueError(f"a scheduler's line without {missing.args[0]}") from None
    if not told.workers.add(worker, event, second):
        raise ValueError("earlier than the line before it of the same worker")
    return True


def _spark(told: Told, text: str) -> bool:
    fields = dict(each.split(": ", 1) for each in text.split(", ") if ": " in each)
    accuracy = fields.get("val_top_k_categorical_accuracy")
    if accuracy is None or not {"Model", "Epoch"} <= set(fields):
        return False
    time = fields[_SPARK.rstrip(": ")]
    datetime.fromisoformat(time)
    model = int(fields["Model"].removeprefix("model_"))
    if len(told.spark) < _MOST:
        told.spark.append(SparkEpoch(model, int(fields["Epoch"]), time, 1 - float(accuracy)))
    return True


def _measures(told: Told, text: str) -> bool:
    """The dictionary that a CTQ client prints: accuracies by configuration, one an epoch."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise ValueError("a dictionary that cannot be read") from None
    whole = isinstance(value, dict) and all(
        isinstance(key, str)
        and isinstance(each, list)
        and all(isinstance(one, float | int) for one in each)
        for key, each in value.items()
    )
    if not whole or not value:
        return False
    told.measures = {key: tuple(1 - one for one in each) for key, each in value.items()}
    return True
