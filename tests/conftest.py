"""One state folder for the whole test session, away from the user's, readable by any user."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_STATE = Path(tempfile.mkdtemp(prefix="cerebro-ds-tests-", dir="/var/tmp"))
_STATE.chmod(0o755)
os.environ["CEREBRO_DS_HOME"] = str(_STATE)
# Replays in this process must round as a worker's one thread does.
for _variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[_variable] = "1"
os.environ["CEREBRO_DS_ARTIFACTS"] = str(_STATE / "artifacts")


@pytest.fixture(scope="session", autouse=True)
def state_folder() -> Iterator[Path]:
    """``$CEREBRO_DS_HOME`` of this session, removed at its end."""
    yield _STATE
    shutil.rmtree(_STATE)
