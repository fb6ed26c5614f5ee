"""``--serve``: the report live on this machine, alone or beside the runs of the same command."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from experiments.approaches.base import epoch_units
from experiments.paths import Artifacts, RunFolder
from experiments.specs.model import RunSpec

_LOOK_S = 3600.0


def serve(scale: str, port: int) -> None:
    """Serve until somebody interrupts."""
    with beside(scale, port, None):
        while True:
            time.sleep(_LOOK_S)


@contextmanager
def beside(scale: str, port: int | None, planned: Sequence[str] | None) -> Iterator[None]:
    """Serve while the block runs, and say where; nothing where ``port`` is None.

    Parameters
    ----------
    planned : names of the runs that the block carries out; None where it waits for Ctrl-C.

    Raises
    ------
    EnvironmentFault
        The port is taken.
    """
    if port is None:
        yield
        return
    from experiments.report.live import LiveRuns
    from experiments.report.serve import Report, serving

    artifacts = Artifacts()
    report = Report(scale, artifacts, LiveRuns(artifacts, expected_units, planned or ()))
    with serving(port, report) as address:
        until = "until Ctrl-C" if planned is None else "while this command runs"
        print(f"the report is at {address} {until}", file=sys.stderr, flush=True)
        yield


@functools.cache
def expected_units(folder: Path) -> int | None:
    """Units of a run if no model is stopped early; None where its specification cannot be read."""
    try:
        spec = RunSpec.from_json(json.loads(RunFolder(folder).run.read_text("utf-8"))["spec"])
        models = len(spec.configs) if spec.search is None else spec.search.trials
        return epoch_units(spec) * models * spec.epochs
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
