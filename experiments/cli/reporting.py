"""The report's page at the end of a command: made from what there is, and never in the way."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from experiments.errors import ReproduceError
from experiments.report import page
from experiments.runner.plan import PlannedRun


def write_page(runs: Sequence[PlannedRun], scale: str) -> str | None:
    """Write the page of a scale; its path, or None where that failed, which stderr tells.

    Runs and figures are safe by then, so whatever goes wrong here is told and not raised.

    Parameters
    ----------
    runs : of the command; those that are not finished are listed with the reason they would run.
    """
    waiting = {run.name: run.reason for run in runs if not run.folder.result.exists()}
    try:
        return page.write(scale, waiting)
    except (ReproduceError, OSError) as error:
        print(f"the report's page was not written: {error}", file=sys.stderr)
    except Exception:  # noqa: BLE001 - a bug of the page's must not cost the figures
        print("the report's page was not written:", file=sys.stderr)
        traceback.print_exc()
    return None
