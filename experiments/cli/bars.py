"""How far something is: a bar on a terminal, elsewhere a line for every tenth; the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

_MINUTES_FROM = 100


@contextmanager
def bar(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Shows how far something is: a bar with the time left, elsewhere a line for every tenth.

    Gives a function of how much was done since it was told last, and of how much there is.
    """
    console = Console(stderr=True)
    if quiet:
        yield lambda done, total: None
    elif console.is_terminal:
        columns = TextColumn("{task.description}"), BarColumn()
        with Bars(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bars:
            task = bars.add_task(what, total=None)
            yield lambda done, total: bars.update(task, advance=done, total=total)
    else:
        print(what, file=sys.stderr, flush=True)
        start = time.monotonic()
        tenths = done_so_far = 0

        def tell(done: int, total: int) -> None:
            nonlocal tenths, done_so_far
            done_so_far += done
            if 10 * done_so_far // max(1, total) > tenths:
                tenths = 10 * done_so_far // total
                left = (time.monotonic() - start) * max(0, total - done_so_far) / done_so_far
                print(f"{what}, {10 * tenths} %, {_left(left)}", file=sys.stderr, flush=True)

        yield tell


def _left(seconds: float) -> str:
    """The time left in words."""
    if seconds < _MINUTES_FROM:
        return f"about {seconds:.0f} s left"
    return f"about {seconds / 60:.0f} min left"
