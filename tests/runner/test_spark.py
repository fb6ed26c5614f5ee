"""What a run on Spark asks of a machine is found out before anything starts."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from experiments import java
from experiments.cli.main import main
from experiments.errors import EnvironmentFault, SpecError
from experiments.runner import needs, spark
from experiments.runner.execute import execute
from experiments.runner.plan import plan, planned
from experiments.runtime.local import LocalRuntime
from experiments.specs.load import run_spec
from experiments.specs.spark import check_address, endpoints
from experiments.specs.topology import SPARK_MASTER, SPARK_WORKER

NATIVE = run_spec("breakdown", "cerebro-spark-native", "smoke")
OTHER = run_spec("breakdown", "cerebro-standalone", "smoke")


@pytest.fixture(autouse=True)
def nothing_may_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> None:
        pytest.fail("a role was started")

    monkeypatch.setattr(LocalRuntime, "start", start)


def test_no_java_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(java, "INSTALLED", tmp_path)
    with pytest.raises(EnvironmentFault, match=r"there is none: .*apt-get install .*openjdk-17"):
        execute(planned(NATIVE), print)
    needs.check([OTHER])


def test_the_wrong_java_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch(mode=0o755)
    (tmp_path / "release").write_text('JAVA_VERSION="25.0.1"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert main(["--experiment", "breakdown", "--scale", "smoke", "--fresh"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said == [line for line in said if line.startswith("error: Spark needs Java 17 or 21")]
    assert f"JAVA_HOME={tmp_path} is Java 25" in said[0]


def test_memory_for_the_jvms_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def enough_for(memory: int) -> None:
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=memory))

    enough_for(2 * 2**30)
    needs.check([OTHER])
    with pytest.raises(EnvironmentFault, match=r"GiB of memory for 2 workers.*--workers"):
        needs.check([NATIVE])
    enough_for(5 * 2**30)
    needs.check([NATIVE])


def test_a_master_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        spark.check(replace(NATIVE, spark_master=f"spark://127.0.0.1:{port}"))
    arguments = ["--experiment", "breakdown", "--scale", "smoke", "--fresh"]
    assert main([*arguments, "--spark-master", f"spark://127.0.0.1:{port}"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: no Spark master answers at spark://127.0.0.1:{port} (Connect")


def test_an_address_that_names_a_spare_master_is_tried_to_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        spark.check(replace(NATIVE, spark_master=f"spark://127.0.0.1:1,127.0.0.1:{port}"))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("spark://a.b:7077", [("a.b", 7077)]),
        ("spark://[::1]:7077", [("::1", 7077)]),
        ("k8s://https://h:6443", [("h", 6443)]),
        ("k8s://h", [("h", 443)]),
        ("", []),
    ],
)
def test_addresses(url: str, found: list[tuple[str, int]]) -> None:
    check_address(url)
    assert endpoints(url) == found


@pytest.mark.parametrize(
    "url",
    ["local[2]", "spark://host", "host:7077", "spark://h:70777", "spark://h:0", "mesos://h:5"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SpecError, match=r"--spark-master "):
        check_address(url)


def test_yarn_needs_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SpecError, match="set HADOOP_CONF_DIR or YARN_CONF_DIR"):
        check_address("yarn")
    monkeypatch.setenv("YARN_CONF_DIR", os.curdir)
    check_address("yarn")


def test_the_address_is_part_of_runs_on_spark_and_of_no_other() -> None:
    runs = plan(["breakdown"], "smoke", spark_master="spark://h:1")
    assert {run.spec.approach for run in runs if run.spec.spark_master} == {
        run.spec.approach for run in runs if spark.is_on(run.spec.approach)
    }
    (native,) = (run for run in runs if run.spec.approach == NATIVE.approach)
    assert native.name != planned(NATIVE).name
    assert spark.roles(native.spec, (SPARK_MASTER, SPARK_WORKER, "worker")) == ("worker",)
    assert spark.roles(NATIVE, (SPARK_MASTER, SPARK_WORKER)) == (SPARK_MASTER, SPARK_WORKER)
