"""Hyperopt's own dispatch, on Spark in one JVM: trials at once, kept processes, lost trials."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from experiments import java
from experiments.approaches.hyperopt_fmin import Fmin, Result
from experiments.approaches.hyperopt_spark import SETTINGS
from experiments.approaches.hyperopt_task import Point
from tests.faults.harness import wait_until

AT_ONCE = 2
SECONDS = 60.0
pytestmark = pytest.mark.filterwarnings("ignore")  # pyspark's, of which some come in its threads

Objective = Callable[[Mapping[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pyspark import SparkConf, SparkContext

    folder = str(tmp_path_factory.mktemp("spark"))
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": folder,
        **SETTINGS,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_HOME", str(java.home()))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.chdir(folder)
        conf = SparkConf().setMaster(f"local[{AT_ONCE}]").setAll(list(settings.items()))
        spark = SparkContext(conf=conf)
        gateway = SparkContext._gateway
        try:
            yield spark
        finally:
            spark.stop()
            gateway.shutdown()
            gateway.proc.stdin.close()
            gateway.proc.wait(SECONDS)
            SparkContext._gateway = SparkContext._jvm = None


@pytest.fixture
def begin(context: Any) -> Iterator[Callable[[Objective], Fmin]]:
    """``begin(objective)``: a search, which is stopped in the end."""
    begun = []

    def make(objective: Objective) -> Fmin:
        begun.append(Fmin(context, AT_ONCE, objective))
        return begun[-1]

    yield make
    for fmin in begun:
        fmin.stop()
        wait_until(lambda fmin=fmin: not fmin.lives, SECONDS, "fmin does not end")  # type: ignore[misc]


def point(number: int) -> Point:
    return Point(f"trial-{number}", number, 0, 2, "linear", 1e-3, 0.0, 16)


def outcome(fmin: Fmin, trials: int) -> dict[str, Result | None]:
    """What came of so many trials."""
    wait_until(lambda: len(fmin.ended()) == trials, SECONDS, f"not all of {trials} trials ended")
    return fmin.ended()


def test_as_many_trials_as_workers_run_at_once(
    begin: Callable[[Objective], Fmin], tmp_path: Path
) -> None:
    """Each waits for the other, which never ends if one is run after the other."""
    folder = str(tmp_path)

    def meet(values: Mapping[str, Any]) -> dict[str, Any]:
        Path(folder, values["trial"]).touch()
        while len(list(Path(folder).iterdir())) < AT_ONCE:
            time.sleep(0.01)
        return {"status": "ok", "loss": values["learning_rate"], "given": dict(values)}

    fmin = begin(meet)
    points = [point(0), point(1)]
    fmin.submit(points)
    found = outcome(fmin, 2)
    assert [(found[each.trial] or {})["given"] for each in points] == [
        each._asdict() for each in points
    ]


def test_a_process_is_kept_for_the_next_trial(begin: Callable[[Objective], Fmin]) -> None:
    def who(_: Mapping[str, Any]) -> dict[str, Any]:
        return {"status": "ok", "loss": 0.0, "process": os.getpid()}

    fmin = begin(who)
    for number in range(3):
        fmin.submit([point(number)])
        outcome(fmin, number + 1)
    processes = {(result or {})["process"] for result in fmin.ended().values()}
    assert len(processes) <= AT_ONCE


def test_a_trial_whose_process_dies_is_lost_and_others_are_not(
    begin: Callable[[Objective], Fmin],
) -> None:
    """And the search goes on after it, as it does after trials that failed."""

    def die(values: Mapping[str, Any]) -> dict[str, Any]:
        if values["model"] == 0:
            os._exit(1)
        return {"status": "fail", "error": "DataError"}

    fmin = begin(die)
    fmin.submit([point(0), point(1)])
    assert outcome(fmin, 2) == {
        "trial-0": None,
        "trial-1": {"status": "fail", "error": "DataError"},
    }
    assert fmin.lives
    fmin.submit([point(2)])
    assert outcome(fmin, 3)["trial-2"] is not None
