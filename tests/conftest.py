"""One state folder for the whole session, away from the user's; one thread, the same bits."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.models import frameworks

_STATE = Path(tempfile.mkdtemp(prefix="cerebro-ds-tests-", dir="/var/tmp"))
_STATE.chmod(0o755)
os.environ["CEREBRO_DS_HOME"] = str(_STATE)
os.environ["CEREBRO_DS_ARTIFACTS"] = str(_STATE / "artifacts")

# Replays in this process must round as the workers do, which inherit the variable.
frameworks.set_threads(1)
os.environ[frameworks.DETERMINISTIC_VARIABLE] = "1"


@pytest.fixture(scope="session", autouse=True)
def state_folder() -> Iterator[Path]:
    """``$CEREBRO_DS_HOME`` of this session, removed at its end."""
    yield _STATE
    shutil.rmtree(_STATE)
