"""``--verify`` and ``--compare``: verdicts as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.errors import DataError, ReproduceError, UserError
from experiments.paths import Artifacts
from experiments.report.verdict import Outcome, Verdict
from experiments.runner.plan import PlannedRun, RunState
from experiments.specs import claims as specs

if TYPE_CHECKING:
    from rich.text import Text

    from experiments.report.compare import Comparison
    from experiments.report.verdicts import Judgement

PROTOCOLS = ("equal", "own-feedback", "paper")
"""Protocols of which finished runs are judged."""

Plan = Callable[[Sequence[str], str], Sequence[PlannedRun]]

_STYLES = {
    Outcome.REPRODUCED: "green",
    Outcome.SIMULATED: "cyan",
    Outcome.DIRECTION_ONLY: "yellow",
    Outcome.CONTRADICTED: "red",
}
_COLUMNS: Mapping[str, tuple[int | None, int | None]] = {
    "id": (None, 3),
    "claim": (4, None),
    "paper": (6, None),
    "here": (6, None),
    "evidence": (None, 9),
    "outcome": (None, 19),
}
"""Ratios and widths of the table's columns."""
_WIDE = 160
_CELL = 150


def verify(plan: Plan, options: argparse.Namespace) -> int:
    """Judge every claim on the finished runs of a scale's plan; run nothing.

    Parameters
    ----------
    plan : the runs of some experiments under a protocol.

    Returns
    -------
    0 whatever the verdicts; with ``--strict`` 1 if a claim is contradicted.

    Raises
    ------
    ReproduceError
        It could not judge, for example because a journal is damaged.
    """
    judged = judge(_finished(plan, specs.load().needs), options.scale)
    if options.json:
        print(json.dumps(judged.to_json(), indent=1))
    else:
        _show(judged)
    return int(options.strict and judged.counts[Outcome.CONTRADICTED] > 0)


def judge(folders: Sequence[Path], scale: str) -> Judgement:
    """Judge every claim on finished runs, and write down what became of it.

    Raises
    ------
    ReproduceError
        It could not judge, for example because a journal is damaged.
    """
    from experiments.report import verdicts

    try:
        judged = verdicts.of_folders(folders, scale)
    except DataError as error:
        raise ReproduceError(f"no verdicts: {error}") from None
    verdicts.write(Artifacts().verdicts, judged)
    return judged


def _finished(plan: Plan, names: Sequence[str]) -> list[Path]:
    """Folders of finished runs, each once."""
    found: dict[Path, None] = {}
    for name in names:
        for protocol in PROTOCOLS:
            try:
                runs = plan([name], protocol)
            except UserError as error:
                print(f"{name}, protocol {protocol}: not looked at: {error}", file=sys.stderr)
                continue
            found |= {run.folder.root: None for run in runs if run.state is RunState.DONE}
    return list(found)


def _show(judged: Judgement) -> None:
    """A row for each claim, and the reason in a line below it."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    console.print(f"The paper's claims, {judged.scale} scale", style="bold")
    heading = tuple(Text(each, style="bold") for each in _COLUMNS)
    rows = [(verdict.reason, _cells(verdict)) for verdict in judged.verdicts]
    for reason, cells in (("", heading), *rows):
        table = Table.grid(expand=True, padding=(0, 2, 0, 0))
        for ratio, width in _COLUMNS.values():
            table.add_column(ratio=ratio, width=width)
        table.add_row(*cells)
        console.print(table)
        console.print(Padding(Text(reason, style="dim"), (0, 0, 1, 4)))
    console.print(summary(judged))
    console.print(f"written: {Artifacts().verdicts}", soft_wrap=True)


def _cells(verdict: Verdict) -> tuple[str | Text, ...]:
    from rich.text import Text

    return (
        f"{verdict.claim:>3}",
        verdict.title,
        _short(verdict.paper),
        _short(verdict.ours),
        ", ".join(verdict.evidence) or "–",
        Text(str(verdict.outcome), style=_STYLES.get(verdict.outcome, "")),
    )


def _short(text: str) -> str:
    """What fits a cell; ``verdicts.json`` has the rest."""
    return text if len(text) <= _CELL else f"{text[:_CELL].rstrip()} …"


def summary(judged: Judgement) -> str:
    """How many claims fare how."""
    counts = ", ".join(f"{number} {outcome}" for outcome, number in judged.counts.items() if number)
    return f"{len(judged.verdicts)} claims: {counts}"


def compare(first: Path, second: Path, as_json: bool) -> int:
    """Print what two machines' verdicts differ in; the exit code.

    Raises
    ------
    DataError
        One of the paths has no verdicts.
    """
    from experiments.report.compare import compared

    found = compared(first, second)
    if as_json:
        print(json.dumps(found.to_json(), indent=1))
    else:
        print("\n".join(_lines(found, str(first), str(second))))
    return 0


def _lines(found: Comparison, first: str, second: str) -> list[str]:
    lines = [f"{found.same} claims fare alike, {len(found.claims)} do not"]
    for each in found.claims:
        lines.append(f"{each.claim:>3}. {each.title}")
        lines += [
            f"     {outcome or 'not judged'}: {where}"
            for outcome, where in ((each.first, first), (each.second, second))
        ]
    lines.append(f"{len(found.settings)} settings differ")
    lines += [f"     {name}: {mine} | {other}" for name, (mine, other) in found.settings.items()]
    return lines
