"""Logs of single models: of Cerebro's workers (``<number>.log``) and of Hyperopt-Spark's tasks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from experiments.analysis.release.client import TIME
from experiments.analysis.release.global_log import is_time
from experiments.analysis.release.text import Account

_TASK = re.compile(rf"(MST|HISTORY): (.+?): {TIME}\s*$")
_HISTORY_OF = "val_top_k_categorical_accuracy"
_SPLITS = {"TRAIN LOSS": "train", "VALID LOSS": "valid"}
MEASURES: Mapping[str, str] = {"ERROR": "top5_error", "ERROR-1": "top1_error"}
_MOST_EPOCHS = 10_000


@dataclass(frozen=True)
class EpochMeasures:
    """A model after an epoch, from 1: means over ``partitions``; loss, top-5 and top-1 error."""

    epoch: int
    split: str
    partitions: int
    loss: float
    top5_error: float
    top1_error: float


@dataclass(frozen=True)
class Task:
    """A configuration that Hyperopt-Spark trained: top-5 error after each epoch."""

    start: str
    end: str
    errors: tuple[float, ...]


def parse(lines: Iterable[tuple[int, str]], account: Account) -> list[EpochMeasures]:
    """A model of a worker of Cerebro's, by epoch and split.

    Lines ``EPOCH: 0, ..., UNIX TIME: ..., VALID LOSS: ..., ERROR: ..., ERROR-1: ..., ...``: one
    for each epoch and partition. Epochs are counted from 0 there.
    """
    sums: dict[tuple[int, str], list[float]] = {}
    for number, text in lines:
        if "UNIX TIME: " not in text:
            continue
        fields = dict(each.split(": ", 1) for each in text.split(", ") if ": " in each)
        named = [name for name in _SPLITS if name in fields]
        try:
            (name,) = named
            epoch = int(fields["EPOCH"])
            values = [float(fields[key]) for key in (name, *MEASURES)]
        except (KeyError, ValueError):
            account.damage(number, "a model's line that is not whole", text)
            continue
        if (epoch, name) not in sums and len(sums) >= _MOST_EPOCHS:
            account.damage(number, f"more than {_MOST_EPOCHS} epochs", text)
            continue
        account.used += 1
        total = sums.setdefault((epoch, name), [0.0, 0.0, 0.0, 0.0])
        total[0] += 1
        for place, value in enumerate(values, 1):
            total[place] += value
    return [
        EpochMeasures(epoch + 1, _SPLITS[name], int(n), loss / n, top5 / n, top1 / n)
        for (epoch, name), (n, loss, top5, top1) in sorted(sums.items())
    ]


def parse_task(lines: Iterable[tuple[int, str]], account: Account) -> Task | None:
    """A task of Hyperopt-Spark's: its ``MST: ...: time`` and ``HISTORY: {...}: time``."""
    times: dict[str, str] = {}
    errors: tuple[float, ...] = ()
    for number, text in lines:
        if not text.startswith(("MST: ", "HISTORY: ")):
            continue
        line = _TASK.match(text)
        if line is None or not is_time(line[3]):
            account.damage(number, "a task's line that is not whole", text)
            continue
        if line[1] == "HISTORY":
            try:
                errors = tuple(1 - float(one) for one in ast.literal_eval(line[2])[_HISTORY_OF])
            except (ValueError, SyntaxError, MemoryError, RecursionError, KeyError, TypeError):
                account.damage(number, "a history that cannot be read", text)
                continue
        account.used += 1
        times[line[1]] = line[3]
    if len(times) < 2 or not errors:
        return None
    return Task(times["MST"], times["HISTORY"], errors)
