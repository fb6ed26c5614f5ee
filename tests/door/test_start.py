"""The door from outside: what it makes, what it notices, what it says. Real pip, real venvs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments import nvidia
from tests.door.tiny_door import Door, as_nobody, wheel


def reached(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """What the stand-in for ``python -m experiments`` said about how it was called."""
    assert done.returncode == 0, done.stderr
    said: dict[str, object] = json.loads(done.stdout)
    return said


def test_help_before_the_environment_stands_makes_nothing(door: Door) -> None:
    for arguments in ([], ["--help"], ["--figure", "9b", "-h"]):
        done = door.start(*arguments)
        assert done.returncode == 0
        assert "--figure ID" in done.stdout
    assert not door.state.exists()


def test_doctor_before_the_environment_stands_makes_nothing(door: Door) -> None:
    done = door.start("--doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert checks["environment"]["state"] == "warn"
    assert "not made yet" in checks["environment"]["found"]
    assert not door.state.exists()


def test_hands_over_with_arguments_folder_and_settings(standing: Door) -> None:
    marker = (standing.environment / "complete.json").stat().st_mtime_ns
    done = standing.start("--figure", "9b", "--scale", "smoke", PIP_FIND_LINKS=os.devnull)
    assert reached(done) == {
        "arguments": ["--figure", "9b", "--scale", "smoke"],
        "prefix": str(standing.environment),
        "cwd": str(standing.root),
        "state": str(standing.state),
        "path": str(standing.checkout),
        "umask": 0o022,
    }
    assert done.stderr == ""
    assert (standing.environment / "complete.json").stat().st_mtime_ns == marker


def test_a_standing_environment_costs_no_heavy_import(standing: Door) -> None:
    command = standing.command("--list")
    traced = subprocess.run(
        [command[0], "-S", "-X", "importtime", *command[1:]],
        env=standing.env(),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(re.findall(r"\|\s+([\w.]+)$", traced.stderr, re.MULTILINE))
    assert "experiments.cli.environment" in imported
    heavy = {"experiments.cli.setup", "experiments.cli.doctor", "subprocess", "argparse"}
    assert imported.isdisjoint(heavy)


def test_the_servers_user_reads_it_though_the_clone_is_private(standing: Door) -> None:
    python = str(standing.environment / "bin" / "python")
    subprocess.run(as_nobody([python, "-c", "import alpha"]), cwd="/", check=True)


def test_a_broken_environment_is_noticed_and_remade(door: Door) -> None:
    reached(door.start("--list"))
    (door.environment / "lib/python3.11/site-packages/alpha.py").unlink()
    done = door.start("--list")
    reached(done)
    assert "changed after it was made" in done.stderr


def test_a_wrong_hash_is_one_line_and_names_the_log(door: Door) -> None:
    door.lock("main.txt", {"alpha==1.0": ["0" * 64]})
    done = door.start("--list", "--quiet")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    log = Path(re.findall(r"\(log: (.*)\)", line)[0])
    assert "alpha" in log.read_text(encoding="utf-8")
    assert not (door.environment / "complete.json").exists()


def test_an_index_that_does_not_answer_is_named_as_the_cause(door: Door) -> None:
    shutil.rmtree(door.wheels)
    settings = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "1"}
    done = door.start("--list", "--quiet", **settings)
    assert done.returncode == 2
    assert "a package index did not answer" in done.stderr


def test_two_starts_at_once_make_it_once(door: Door) -> None:
    pair = [
        subprocess.Popen(
            door.command("--list"),
            env=door.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert sum("The environment stands" in text for text in said) == 1


def test_interrupted_set_up_ends_at_once_and_is_remade(door: Door) -> None:
    with subprocess.Popen(
        door.command("--list", "--quiet"), env=door.env(), stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not list(door.state.glob("environments/*/bin")):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert len(said.strip().splitlines()) == 1
    assert not list(door.state.glob("environments/*/complete.json"))
    done = door.start("--list")
    assert "half made" in done.stderr
    reached(done)


def test_without_privilege_one_apt_line_says_what_is_missing(door: Door) -> None:
    tools = door.root / "tools"
    tools.mkdir()
    (tools / "dpkg-query").write_text("#!/bin/sh\necho postgresql-15 installed\n")
    (tools / "dpkg-query").chmod(0o755)
    (door.root / "home").chmod(0o755)
    door.state.mkdir()
    door.state.chmod(0o777)
    done = subprocess.run(
        as_nobody(door.command("--list", python="/usr/bin/python3.11")),
        env=door.env(PATH=f"{tools}:{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith(
        "apt-get install --no-install-recommends "
        "postgresql-plpython3-15 python3.11-venv dataset-fashion-mnist"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")
def test_a_state_folder_that_servers_cannot_enter_is_refused(door: Door) -> None:
    hidden = door.root / "home" / "state"
    done = door.start("--list", CEREBRO_DS_HOME=str(hidden))
    assert done.returncode == 2
    assert f"chmod o+x {door.root / 'home'}" in done.stderr
    assert not hidden.exists()


@pytest.mark.parametrize("offered", [True, False])
def test_cpu_build_of_torch_is_taken_where_offered_and_cuda_only_on_demand(
    door: Door, offered: bool
) -> None:
    registry = door.root / "registry"
    digests = {
        "alpha==1.0": [wheel(registry, "alpha", "1.0")],
        "torch==1.0": [wheel(registry, "torch", "1.0", ["cudalib==3"])],
    }
    cuda = wheel(registry, "cudalib", "3")
    shutil.rmtree(door.wheels)
    door.wheels.mkdir()
    if offered:
        digests["torch==1.0"].append(wheel(door.wheels, "torch", "1.0+cpu"))
    for name, file, digest in (
        ("alpha", "alpha-1.0", digests["alpha==1.0"][0]),
        ("torch", "torch-1.0", digests["torch==1.0"][0]),
        ("cudalib", "cudalib-3", cuda),
    ):
        page = door.root / "simple" / name / "index.html"
        page.parent.mkdir(parents=True)
        target = f"../../registry/{file}-py3-none-any.whl"
        page.write_text(f'<!DOCTYPE html><a href="{target}#sha256={digest}">{file}</a>')
    door.lock("main.txt", dict(digests))
    door.lock("torch-cuda.txt", {"cudalib==3": [cuda]})
    door.settings = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": f"file://{door.root}/simple"}
    reached(door.start("--list"))
    mark = json.loads((door.environment / "complete.json").read_text(encoding="utf-8"))
    cpu = offered and not nvidia.DEVICE.exists()
    assert mark["versions"]["torch"] == ("1.0+cpu" if cpu else "1.0")
    assert ("cudalib" in mark["versions"]) is not cpu


def test_any_python_3_can_open_the_door() -> None:
    """Syntax of Python 3.8 in everything that runs before the environment stands."""
    import ast

    checkout = Path(sys.modules["experiments"].__path__[0]).parent
    names = ["paths", "errors", "java", "nvidia"]
    names += [f"cli/{name}" for name in ("machine", "environment", "setup", "doctor")]
    for file in (checkout / "reproduce.py", *(checkout / f"experiments/{n}.py" for n in names)):
        ast.parse(file.read_text(encoding="utf-8"), str(file), feature_version=(3, 8))


def test_a_state_folder_that_cannot_be_one_is_named(door: Door) -> None:
    (door.root / "file").touch()
    for wrong in (door.root / "file", door.root / "file" / "below"):
        done = door.start("--list", CEREBRO_DS_HOME=str(wrong))
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"reproduce.py: {wrong}/environments: cannot be made")
        assert "set CEREBRO_DS_HOME to" in line
