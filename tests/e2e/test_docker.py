"""A figure in containers, by the user's own command, and its runs as processes of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.approaches.base import Trait, find
from experiments.models import codec
from experiments.mop import invariants
from experiments.paths import CHECKOUT, Artifacts, RunFolder, state
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.runtime import images, sweep
from experiments.specs.load import run_spec
from experiments.telemetry.journal import read
from tests.families import PACKAGES
from tests.runtime.engine import engine, needs_engine

pytestmark = needs_engine

ORDER = "cerebro-standalone"
SECONDS = 1500


def losses(folder: RunFolder) -> dict[tuple[int | None, int | None], float]:
    """Validation loss by epoch and model."""
    events = read(folder.journal)
    return {(e.epoch, e.model): e.detail["loss"] for e in events if e.kind == "evaluated"}


def weights(folder: RunFolder, model: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    decoded = codec.decode((folder.models / f"{model}.state").read_bytes())
    return np.concatenate([np.asarray(decoded.weights), np.asarray(decoded.optimizer)])


@pytest.mark.timeout(SECONDS)
def test_figure_9b_in_containers_is_that_of_processes() -> None:
    """The same visits from the same weights: hoppers end alike to rounding, wherever they run."""
    local = {}
    for approach in (ORDER, "ma"):
        run = planned(run_spec("breakdown", approach, "smoke"))
        execute(run, lambda _: None)
        local[approach] = run
    command = ["--figure", "9b", "--scale", "smoke", "--runtime", "docker", "--workers", "2"]
    command += ["--policy", f"replay:{local[ORDER].name}", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments", *command],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [Path(path).suffix for path in told["figures"][0]] == [".png", ".pdf", ".csv"]
    assert all(Path(path).stat().st_size for path in told["figures"][0])
    compared = 0
    for name in told["runs"]:
        folder = Artifacts().run(name)
        spec = json.loads(folder.run.read_text())["spec"]
        approach, models = spec["approach"], len(spec["configs"])
        if approach in PACKAGES:
            continue  # in an order of its own
        if Trait.HOPS in find(approach).traits:
            events = list(read(folder.journal))
            invariants.check(events, models, 2, range(1, spec["epochs"] + 1))
            judge = local[ORDER].folder
        elif approach in local:
            judge = local[approach].folder
        else:
            continue
        compared += 1
        expected = losses(judge)
        assert losses(folder) == pytest.approx(expected, rel=1e-4, abs=1e-5)
        for model in range(models):
            np.testing.assert_allclose(
                weights(folder, model), weights(judge, model), rtol=1e-3, atol=1e-4
            )
    assert compared >= 6
    with engine() as client:
        assert not sweep.found(client, str(state().root))
        assert not images.missing(client, images.IMAGES)
