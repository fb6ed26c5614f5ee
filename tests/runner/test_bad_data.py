"""Rows that cannot be trained on end a run with one line, before a row is kept or trained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.paths import CHECKOUT, RunFolder, State
from experiments.runtime.local import LocalRuntime
from tests.faults.harness import small_spec

DRIVE = """
import sys
import numpy as np
from experiments.__main__ import main
from experiments.datasets import blobs

take, fault = blobs._Generator.take, sys.argv[1]

def spoilt(self, rows):
    x, y = take(self, rows)
    if fault == "NaN":
        x[rows == 17, 0, 0] = np.nan
    elif fault == "label":
        y[rows == 17] = 9
    else:
        x = x[:, :7]
    return x, y

blobs._Generator.take = spoilt
sys.exit(main(["drive", sys.argv[2]]))
"""


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("NaN", "blobs: train row 17 holds NaN or infinity"),
        ("label", "blobs: train row 17 has label 9, outside 0..3"),
        ("shape", "blobs: train rows of shape [7, 8, 1], not [8, 8, 1]"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_kept(fault: str, complaint: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    spec = small_spec("ctq", seed=7)
    folder.run.write_text(json.dumps({"run": "bad", "spec": spec.to_json(), "fingerprint": {}}))
    with LocalRuntime(tmp_path / "cluster") as runtime:
        runtime.make_topology("bad", spec.workers, 1).write(folder.topology)
        done = subprocess.run(
            [sys.executable, "-c", DRIVE, fault, str(folder.root)],
            env={
                **os.environ,
                "PYTHONPATH": str(CHECKOUT),
                "CEREBRO_DS_HOME": str(tmp_path / "home"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, f"error: {complaint}\n")
    assert not folder.result.exists()
    assert not list(State(tmp_path / "home").datasets.iterdir())
