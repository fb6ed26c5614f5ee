"""``--test``: what a change must pass. Lint, format, types and imports first, then the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.cli import environment, machine, setup
from experiments.errors import EnvironmentFault
from experiments.paths import BENCHMARKS, CHECKOUT
from experiments.report.words import duration
from experiments.specs.load import nearest

STAGES = (
    ("lint", ("ruff", "check", ".")),
    ("format", ("ruff", "format", "--check", ".")),
    ("types", ("mypy",)),
    ("imports", ("lint-imports",)),
    ("locks", ("python", "images/lock.py", "--check")),
)

PARALLEL = ("-n", "2", "--dist", "loadgroup")
"""Tests wait more than they compute; two at a time is what a laptop's memory bears."""


def test(arguments: Sequence[str]) -> int:
    """Run everything; with arguments only pytest with these. 0 if all passed, else 1."""
    if not arguments or any("report" in each for each in arguments):
        _browser()
    if arguments:
        return _run(("pytest", *arguments))
    failed = []
    for name, command in (*STAGES, ("tests", ("pytest", *PARALLEL))):
        print(f"== {name}: {' '.join(command)}", flush=True)
        start = time.monotonic()
        code = _run(command)
        print(
            f"== {name}: {'passed' if code == 0 else 'FAILED'} in "
            f"{duration(time.monotonic() - start)}",
            flush=True,
        )
        if code:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def _browser() -> None:
    """Install what looks at the report's page, where we may; tests without it are skipped."""
    missing = machine.lacking(machine.BROWSER)
    if missing and os.geteuid() == 0 and not machine.platform_problem():
        try:
            setup.install_packages(
                missing, environment.standard().state / "apt.log", setup.Progress(quiet=False)
            )
        except EnvironmentFault as fault:
            print(f"tests in a browser will be skipped: {fault}", flush=True)


def benchmark(arguments: Sequence[str]) -> int:
    """Run one of ``benchmarks/``; 0 if it ended well, else 1."""
    known = [path.stem for path in sorted(BENCHMARKS.glob("*.py"))]
    if not arguments or arguments[0] not in known:
        raise nearest("benchmark", arguments[0] if arguments else "", known)
    return _run(("python", str(BENCHMARKS / f"{arguments[0]}.py"), *arguments[1:]))


def _run(command: Sequence[str]) -> int:
    """One tool of this environment, in the checkout."""
    tool = Path(sys.prefix) / "bin" / command[0]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([tool, *command[1:]], cwd=CHECKOUT, env=environment, check=False)
    return min(done.returncode, 1)
