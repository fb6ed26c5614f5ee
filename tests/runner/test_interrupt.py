"""An interrupted run stops everything it started, and goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from experiments.approaches.base import Trait, find, units
from experiments.mop import invariants
from experiments.paths import CHECKOUT, RunFolder, state
from experiments.runner.execute import execute
from experiments.runner.plan import RunState, planned
from experiments.specs.load import protocols
from experiments.specs.model import DatasetSpec, ModelConfig, RunSpec
from experiments.telemetry.journal import Event, read
from tests.families import OWN

RUN = """
import json, sys
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.model import RunSpec
try:
    execute(planned(RunSpec.from_json(json.loads(sys.argv[1]))), lambda event: None)
except KeyboardInterrupt:
    sys.exit(130)
"""


def spec(approach: str, seed: int) -> RunSpec:
    """Units slow enough to be interrupted in the middle: batches of one row, or many rounds."""
    batch = 32 if Trait.DATA_PARALLEL in find(approach).traits else 1
    return RunSpec(
        experiment="interrupt",
        approach=approach,
        scale="smoke",
        protocol=protocols()["equal"],
        workers=2,
        seed=seed,
        epochs=1,
        policy="random",
        dataset=DatasetSpec("blobs", train_rows=8000, valid_rows=40),
        configs=tuple(ModelConfig("linear", rate, 0.0, batch) for rate in (1e-2, 1e-3, 1e-4)),
    )


def wait_for_units(folder: RunFolder, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while sum(event.kind == "unit_finished" for event in read(folder.journal)) < count:
        assert process.poll() is None, "the run ended before it was interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ours(name: str) -> list[int]:
    """Processes of a run: those that name it or work in its cluster's folder."""
    found = []
    cluster = state().clusters / name
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or ())
        here = Path(process.info["cwd"] or "/").is_relative_to(cluster)
        named = name in line and str(state().root) in line
        if process.pid != os.getpid() and (named or here):
            found.append(process.pid)
    return found


def finished_units(events: list[Event]) -> list[tuple[int | None, int | None, str]]:
    return [(e.model, e.partition, e.detail["kind"]) for e in events if e.kind == "unit_finished"]


@pytest.mark.parametrize(
    ("approach", "number"),
    # Drivers of all approaches are killed in tests/faults/test_kills.py.
    [*((each, signal.SIGINT) for each in OWN), (OWN[0], signal.SIGKILL)],
)
def test_an_interrupted_run_goes_on(approach: str, number: signal.Signals) -> None:
    wanted = planned(spec(approach, seed=int(number)))
    arguments = [sys.executable, "-c", RUN, json.dumps(wanted.spec.to_json())]
    process = subprocess.Popen(
        arguments, cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}
    )
    try:
        wait_for_units(wanted.folder, 1, process)
        start = time.monotonic()
        process.send_signal(number)
        code = process.wait(15)
    finally:
        process.kill()
        process.wait()
    assert code == (130 if number == signal.SIGINT else -signal.SIGKILL)
    while ours(wanted.name) and time.monotonic() - start < 10:
        time.sleep(0.05)
    assert not ours(wanted.name)
    before = list(read(wanted.folder.journal))
    again = planned(wanted.spec)
    assert again.state is RunState.PARTIAL
    execute(again, lambda _: None)
    events = list(read(wanted.folder.journal))
    assert events[: len(before)] == before
    done = finished_units(events)
    assert len(done) == len(set(done))
    assert len(done) == 2 * 3 * units(wanted.spec)
    if Trait.HOPS in find(approach).traits:
        invariants.check(events, 3, 2, [1])
