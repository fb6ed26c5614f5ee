"""What is made of runs and figures at the end of a command: verdicts, the page, the crate.

Runs and figures are safe by then, so nothing that goes wrong here keeps them from being shown.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from experiments.cli import verify
from experiments.cli.crating import write_crate
from experiments.errors import ReproduceError
from experiments.paths import Artifacts
from experiments.runner.plan import PlannedRun


def conclude(runs: Sequence[PlannedRun], scale: str, failed: list[str]) -> list[str]:
    """Judge the claims on the finished ones of these runs.

    Parameters
    ----------
    failed : takes what went wrong.

    Returns
    -------
    Lines for the user.
    """
    folders = [run.folder.root for run in runs if run.folder.result.exists()]
    try:
        return [verify.summary(verify.judge(folders, scale)), str(Artifacts().verdicts)]
    except ReproduceError as error:
        failed.append(f"claims: {error}")
        return []


def describe(failed: list[str]) -> list[str]:
    """Write the research-object crate of all that is there; lines for the user.

    Parameters
    ----------
    failed : takes what went wrong.
    """
    try:
        return [write_crate()]
    except ReproduceError as error:
        failed.append(str(error))
        return []


def write_page(runs: Sequence[PlannedRun], scale: str) -> str | None:
    """Write the page of a scale; its path, or None where that failed, which stderr tells.

    Parameters
    ----------
    runs : of the command; those that are not finished are listed with the reason they would run.
    """
    from experiments.report import page

    waiting = {run.name: run.reason for run in runs if not run.folder.result.exists()}
    try:
        return page.write(scale, waiting)
    except (ReproduceError, OSError) as error:
        print(f"the report's page was not written: {error}", file=sys.stderr)
    except Exception:  # noqa: BLE001 - a bug of the page's must not cost the figures
        print("the report's page was not written:", file=sys.stderr)
        traceback.print_exc()
    return None
