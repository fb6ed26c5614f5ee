"""A command in a container of its own: what it says, how it ends, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from experiments.analysis.notebooks import Parameters
from experiments.cli.drawing import draw
from experiments.errors import UserError
from experiments.paths import CHECKOUT, Artifacts, state
from experiments.runtime import choice, docker, errand, images, sweep
from experiments.runtime.definitions import owner
from tests.runtime.engine import engine, needs_engine

pytestmark = needs_engine

LONG = """
from contextlib import closing
from experiments.runtime import docker, engine, errand
with closing(engine.connect()) as client:
    errand.run(client, ["hold", "--stay"], binds=[], user=docker.user(), environment={})
"""


@pytest.fixture(scope="module", autouse=True)
def _images() -> None:
    with engine() as client:
        images.ensure(client, ["experiment"], print)


def test_it_tells_status_and_output_and_is_gone() -> None:
    with engine() as client:
        told = errand.run(
            client, ["pagefile", "nothing"], binds=[], user=docker.user(), environment={}
        )
        assert told == (2, "error: usage: python -m experiments pagefile inspect FILE\n")
        assert not sweep.found(client, owner())
    assert not list(state().clusters.glob("errand-*"))


def test_what_a_notebook_lacks_is_one_line_of_the_users() -> None:
    missing = Artifacts().run("no-such-run").root
    Artifacts().root.mkdir(parents=True, exist_ok=True)
    with pytest.raises(UserError, match="no-such-run"):
        draw("9b", Parameters("smoke", (missing,)), choice.DOCKER)


def test_it_ends_with_whoever_started_it() -> None:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    process = subprocess.Popen([sys.executable, "-c", LONG], cwd=CHECKOUT, env=environment)
    with engine() as client:

        def running() -> bool:
            return any(
                each.status == "running"
                for each in sweep.found(client, owner())
                if hasattr(each, "kill")
            )

        deadline = time.monotonic() + 60
        while not running():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        while running():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        sweep.remove_abandoned(client, owner(), state().clusters)
        assert not sweep.found(client, owner())
