"""What runs were expected to take, kept beside what they took; and the pilot's short runs."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from typing import Any

from experiments.errors import DataError
from experiments.files import write_atomically
from experiments.paths import Artifacts
from experiments.runner.estimate import predict
from experiments.runner.plan import PlannedRun


def write_predicted(runs: Sequence[PlannedRun], scale: str) -> None:
    """Write ``predicted.json`` before the runs that are to be done.

    What was expected of a run before it was carried out stays; a run that is to be done is expected
    anew. Other runs of the file, of another scale or seed, stay as well.

    Raises
    ------
    DataError
        The file that is there is damaged.
    """
    kept = _kept()
    for name, each in predict(runs).items():
        kept[name] = {"seconds": each.seconds, "bytes": each.bytes, "source": each.source}
    mine = [kept[run.name]["seconds"] for run in runs if run.name in kept]
    _write(
        {
            "scale": scale,
            "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "runs": kept,
            "total_seconds": sum(seconds for seconds in mine if seconds is not None),
        }
    )


def write_taken(run: PlannedRun, seconds: float) -> None:
    """Add what a run took by this command's clock, from its start until all of it had ended."""
    path = Artifacts().predicted
    found = json.loads(path.read_text(encoding="utf-8"))
    found["runs"][run.name]["took_seconds"] = seconds
    _write(found)


def short_runs(runs: Sequence[PlannedRun], options: argparse.Namespace) -> None:
    """The pilot's short runs for some planned ones."""
    from experiments.cli import upfront
    from experiments.runner import short_runs as pilot
    from experiments.runner.plan import RunState

    short = pilot.short_runs([run.spec for run in runs], options.runtime)
    if pending := [run for run in short if run.state is not RunState.DONE]:
        upfront.check(pending, options.segments)
        upfront.make(pending, options.runtime, quiet=options.quiet)
        pilot.carry_out(
            pending, lambda line: None if options.quiet else print(line, file=sys.stderr)
        )


def _kept() -> dict[str, dict[str, Any]]:
    path = Artifacts().predicted
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["runs"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(f"{path} is damaged: remove it") from None


def _write(found: dict[str, Any]) -> None:
    path = Artifacts().predicted
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(found, indent=1))
