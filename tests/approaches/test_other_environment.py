"""A job in another environment: what it says is heard, and however it ends, nothing stays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from experiments.approaches.other_environment import Job
from experiments.errors import EnvironmentFault, ReproduceError
from experiments.paths import PACKAGE_ENVIRONMENT


@contextlib.contextmanager
def started(folder: Path, **told: Any) -> Iterator[Job]:
    job = Job(
        PACKAGE_ENVIRONMENT,
        "tests.approaches.talking_job",
        told,
        folder=folder,
        threads=1,
        settings={},
    )
    try:
        yield job
    finally:
        job.close()
        job.close()


def test_messages_come_in_order_until_it_is_done(tmp_path: Path, package_python: Path) -> None:
    with started(tmp_path, says=[{"event": "round", "epoch": 1}, {"event": "done"}]) as job:
        begun = job.receive()
        assert begun is not None
        assert Path(begun["python"]).resolve() == package_python.parent.parent
        assert begun["folder"] == str(tmp_path)
        assert job.receive() == {"event": "round", "epoch": 1}
        assert job.receive() is None


@pytest.mark.usefixtures("package_python")
def test_a_failure_is_raised_with_its_reason(tmp_path: Path) -> None:
    failed = {"event": "failed", "error": "Traceback …\nOSError: no such row"}
    with started(tmp_path, says=[failed], status=1) as job:
        job.receive()
        with pytest.raises(ReproduceError, match=r"ended with 1: OSError: no such row"):
            job.receive()


@pytest.mark.usefixtures("package_python")
def test_a_full_disk_is_the_users_to_mend(tmp_path: Path) -> None:
    cause = {"event": "failed", "error": "java.io.IOException: No space left on device"}
    later = {"event": "failed", "error": "the run is over"}
    with started(tmp_path, says=[cause, later], status=1) as job:
        job.receive()
        with pytest.raises(EnvironmentFault, match=f"{tmp_path}: the disk is full"):
            job.receive()


@pytest.mark.usefixtures("package_python")
def test_one_that_ends_early_is_not_taken_for_done(tmp_path: Path) -> None:
    with started(tmp_path, says=[], status=3) as job:
        job.receive()
        with pytest.raises(ReproduceError, match="ended with 3"):
            job.receive()


@pytest.mark.usefixtures("package_python")
def test_it_does_not_outlive_whoever_closes_it(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    with started(tmp_path, says=[], stays=600) as job:
        job.receive()
        (child,) = set(psutil.Process().children()) - before
    assert not child.is_running()
