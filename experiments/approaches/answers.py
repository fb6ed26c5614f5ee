"""What became of a step in another process, as JSON: its report, or what it raised."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from experiments import errors
from experiments.errors import UserError
from experiments.models.worker import Report

Answer = dict[str, Any]


class StepFailed(errors.ReproduceError):
    """A step raised in its process; carries that process's traceback."""


def answer(step: Callable[[], Report]) -> Answer:
    """Do a step; in the process that does it."""
    try:
        return {"report": step()}
    except Exception as error:  # noqa: BLE001 - whatever it is, the driver has to know
        return {
            "error": type(error).__name__,
            "text": str(error),
            "trace": "".join(traceback.format_exception(error)),
        }


def report_of(answer: Mapping[str, Any]) -> Report:
    """The report in an answer; in the process that asked.

    Raises
    ------
    UserError
        The step raised one; it is of the same class here.
    StepFailed
        The step raised something else.
    """
    if "error" in answer:
        known = getattr(errors, answer["error"], None)
        if isinstance(known, type) and issubclass(known, UserError):
            raise known(answer["text"])
        raise StepFailed(f"{answer['text']}\n{answer['trace']}")
    report: Report = answer["report"]
    return report
