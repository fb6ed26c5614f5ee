"""``images/build`` from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.paths import CHECKOUT


def build(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments", "images", *arguments],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_needs_no_environment(tmp_path: Path) -> None:
    done = subprocess.run(
        [CHECKOUT / "images" / "build", "--help"],
        env={"PATH": os.environ["PATH"], "CEREBRO_DS_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--save FOLDER" in done.stdout
    assert "examples" in done.stdout
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--only", "wurst"], "error: no image is called 'wurst': there are base, segment"),
        (["--only", "greenplum"], "error: the greenplum image needs a package of Greenplum 6"),
        (["--greenplum", "x.deb"], "error: --greenplum FILE and --sha256 HEX go together"),
        (["--save", "a", "--load", "b"], "not allowed with argument"),
        (["--list"], "error: no Docker engine answers at unix:///none.sock: start it"),
    ],
)
def test_what_can_be_mended_is_said_and_is_exit_code_2(arguments: list[str], line: str) -> None:
    done = build(*arguments, DOCKER_HOST="unix:///none.sock")
    assert done.returncode == 2
    assert line in done.stderr
    assert "Traceback" not in done.stderr
