"""Run what is missing, build the figures, say where they are."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

from experiments.cli import reporting, serving, upfront
from experiments.cli.predicting import write_predicted, write_taken
from experiments.cli.progress import Progress
from experiments.errors import DataError, ReproduceError, UserError
from experiments.runner import pacing
from experiments.runner.execute import execute
from experiments.runner.plan import PlannedRun, RunState


def reproduce(runs: Sequence[PlannedRun], drawn: Sequence[str], options: argparse.Namespace) -> int:
    """Carry out the runs one after the other, then build the figures that were asked for.

    Runs that are done are reused unless ``--fresh``; a figure is built again only if something it
    is made from changed. A notebook that fails does not keep the others from being built. The
    report's page is written in the end, also where a run failed.
    """
    names = [run.name for run in runs]
    with serving.beside(options.scale, options.serve, names):
        try:
            made, failed = _carry_out(runs, drawn, options)
        except UserError:
            raise
        except ReproduceError:
            reporting.write_page(runs, options.scale)
            raise
        told = reporting.conclude(runs, options.scale, failed) if options.all else []
        page = reporting.write_page(runs, options.scale)
        if options.all:
            told += reporting.describe(failed)
    if options.json:
        print(json.dumps({"runs": names, "figures": made, "page": page}, indent=1))
    else:
        for paths in made:
            print("\n".join(paths))
        for line in (*told, page):
            if line:
                print(line)
    if failed:
        raise ReproduceError("\n".join(failed))
    return 0


def _carry_out(
    runs: Sequence[PlannedRun], drawn: Sequence[str], options: argparse.Namespace
) -> tuple[list[list[str]], list[str]]:
    """The files of each figure that was built, and what became of those that could not be."""
    pending = [run for run in runs if run.state is not RunState.DONE]
    quiet = options.quiet or options.json
    remarks = upfront.check(pending, options.segments) if pending else []
    upfront.make(pending, options.runtime, quiet=quiet)
    if pending:
        write_predicted(runs, options.scale)
    with Progress(runs, quiet=quiet) as progress:
        for remark in remarks:
            progress.say(remark)
        for run in runs:
            progress.announced(run)
            if run.state is not RunState.DONE:
                _run(run, progress)
        made, failed = [], []
        for name in drawn:
            try:
                made.append(_build(name, runs, options, progress))
            except UserError:
                raise
            except ReproduceError as error:  # the other figures do not depend on this one
                failed.append(f"figure {name}: {error}")
    return made, failed


def _run(run: PlannedRun, progress: Progress) -> None:
    start = time.monotonic()
    progress.started(run)
    execute(run, progress.watch)
    took = time.monotonic() - start
    write_taken(run, took)
    progress.finished(run, took)
    if line := pacing.warning(json.loads(run.folder.result.read_text(encoding="utf-8"))):
        progress.say(f"    {line}")


def _build(
    name: str, runs: Sequence[PlannedRun], options: argparse.Namespace, progress: Progress
) -> list[str]:
    from experiments.analysis import notebooks
    from experiments.cli.drawing import draw
    from experiments.specs.load import figures

    experiments = figures()[name].experiments
    folders = tuple(run.folder.root for run in runs if run.spec.experiment in experiments)
    parameters = notebooks.Parameters(options.scale, folders)
    try:
        current = notebooks.is_current(name, parameters)
    except DataError as error:
        raise DataError(f"figure {name}: {error}") from None
    if current:
        progress.say(f"figure {name}: up to date")
    else:
        progress.say(f"figure {name}: building")
        draw(name, parameters, options.runtime)
    return [str(path) for path in parameters.files(name).outputs]
