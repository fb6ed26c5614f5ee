"""Runs on a Spark cluster that exists already: nothing of Spark's is started for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.approaches import spark_settings
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.runtime.local import LocalRuntime
from experiments.specs.topology import SPARK_MASTER, SPARK_WORKER
from experiments.telemetry.journal import read
from tests.faults.harness import FaultyRun, small_spec


@pytest.mark.timeout(600)
def test_runs_on_a_cluster_that_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalRuntime(tmp_path / "cluster") as runtime:
        topology = runtime.make_topology("existing", 2, 1)
        runtime.start(topology, [SPARK_MASTER, SPARK_WORKER])
        before = runtime.pids()
        # What the cluster's users have in their own settings.
        spark_settings.write(tmp_path / "own", spark_settings.shared(topology))
        monkeypatch.setenv("SPARK_CONF_DIR", str(spark_settings.conf(tmp_path / "own")))
        monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        runs = []
        for approach in ("cerebro-spark-native", "hyperopt-spark"):
            spec = small_spec(approach, seed=41, epochs=1)
            runs.append(planned(replace(spec, spark_master=topology.spark_master)))
            execute(runs[-1], lambda _: None)
        assert runtime.pids() == before
        assert runtime.alive()
    for run in runs:
        FaultyRun(run).check()
        assert not list(read(run.folder.restarts))
        assert run.spec.spark_master in run.folder.run.read_text()
