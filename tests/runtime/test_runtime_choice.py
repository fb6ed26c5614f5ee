"""Which runtime is taken, and what is said where it is not the one that was wanted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.errors import EnvironmentFault, SpecError
from experiments.runner.plan import planned
from experiments.runtime import choice, image_build, images
from experiments.specs.load import run_spec
from tests.runtime.engine import needs_engine

SPEC = run_spec("breakdown", "ctq", "smoke")


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    address = f"unix://{tmp_path}/no.sock"
    monkeypatch.setenv("DOCKER_HOST", address)
    return address


def test_auto_falls_back_with_one_line_that_says_why(no_engine: str) -> None:
    said: list[str] = []
    assert choice.choose(choice.AUTO, said.append) == choice.LOCAL
    (line,) = said
    assert line.startswith(f"{choice.WITHOUT_CONTAINERS}: no Docker engine answers")
    assert no_engine in line


@needs_engine
def test_auto_is_docker_where_an_engine_answers() -> None:
    assert choice.choose(choice.AUTO, pytest.fail) == choice.DOCKER


def test_what_is_named_is_taken_or_refused(no_engine: str) -> None:
    assert choice.choose(choice.LOCAL, pytest.fail) == choice.LOCAL
    with pytest.raises(EnvironmentFault, match=r"no Docker engine answers at .*--runtime local"):
        choice.choose(choice.DOCKER, pytest.fail)


def test_a_spark_cluster_that_exists_is_out_of_reach_of_containers() -> None:
    said: list[str] = []
    assert choice.choose(choice.AUTO, said.append, spark_master="spark://a:1") == choice.LOCAL
    assert "no way out" in said[0]
    with pytest.raises(SpecError, match=r"--spark-master: .*--runtime local"):
        choice.choose(choice.DOCKER, pytest.fail, spark_master="spark://a:1")


def test_runs_in_containers_are_other_runs() -> None:
    local, docker = planned(SPEC), planned(SPEC, runtime=choice.DOCKER)
    assert docker.parts == {**local.parts, "runtime": "docker"}
    assert docker.name.startswith(local.name.rpartition("-")[0] + "-docker-")


@needs_engine
def test_the_plan_names_runs_as_they_would_be_carried_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["--plan", "--experiment", "breakdown", "--scale", "smoke", "--json"]
    assert main([*command, "--runtime", "docker"]) == 0
    names = [run["run"] for run in json.loads(capsys.readouterr().out)]
    assert names
    assert all("-docker-" in name for name in names)


@needs_engine
def test_auto_does_without_images_that_cannot_be_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def no_network(*_: object) -> None:
        raise EnvironmentFault("no index of Python packages answers")

    monkeypatch.setattr(images, "missing", lambda *_: ["base", "experiment"])
    monkeypatch.setattr(image_build, "build", no_network)
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    command = ["--figure", "loc", "--scale", "smoke"]
    assert main([*command, "--runtime", "docker"]) == 2
    assert capsys.readouterr().err.endswith("error: no index of Python packages answers\n")
    assert main([*command, "--runtime", "auto"]) == 0
    out, err = capsys.readouterr()
    assert f"{choice.WITHOUT_CONTAINERS}: no index of Python packages answers\n" in err
    assert Path(out.split()[0]).is_file()
