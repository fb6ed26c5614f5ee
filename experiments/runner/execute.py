"""Carry out planned runs, one at a time: start what a run needs, drive it, stop everything."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import shutil
from collections import deque
from collections.abc import Callable, Sequence

import psutil

from experiments import __version__
from experiments.approaches.base import Trait, find
from experiments.errors import ReproduceError, UserError
from experiments.files import write_atomically
from experiments.paths import RunFolder, state
from experiments.runner import needs, spark
from experiments.runner.plan import PlannedRun
from experiments.runner.sampling import Sampling
from experiments.runner.supervise import Supervisor
from experiments.runtime import choice, gpus
from experiments.runtime.base import Driver, Runtime
from experiments.runtime.started import USER_ERROR_STATUS, exit_text
from experiments.specs.topology import CACHE_BYTES, Topology
from experiments.telemetry.journal import Event, Journal, Tail
from experiments.telemetry.sampler import period

WATCH_SECONDS = 0.2
STOP_SECONDS = 4.0
PACKAGES = (
    "tensorflow-cpu",
    "torch",
    "keras",
    "numpy",
    "distributed",
    "psycopg2-binary",
    "pyspark",
    "pyarrow",
)

Watcher = Callable[[Event], None]


def execute(run: PlannedRun, watch: Watcher) -> None:
    """Carry out one run to its ``result.json``.

    Roles that die meanwhile are started again, and the driver repeats what they were doing.

    Parameters
    ----------
    watch : sees every event of the journal, earlier starts' included, and every restart of a role,
        as they come.

    Raises
    ------
    UserError
        Something the user can mend, found before the start or by the driver.
    ReproduceError
        The driver or a role failed; the message names its log.
    KeyboardInterrupt
        After everything started has been stopped. Finished units are kept.
    """
    approach = find(run.spec.approach)
    roles = spark.roles(run.spec, approach.roles)
    needs.check([run.spec], run.runtime)
    period()  # what is wrong with it is told before anything starts
    folder = run.folder
    root = state().clusters / run.name
    stores = state().stores / run.name
    threads = max(1, (os.cpu_count() or 1) // run.spec.workers)
    with choice.make(run.runtime, root, needs.limits(run.spec)) as runtime:
        runtime.claim()
        if run.fresh:
            shutil.rmtree(folder.root, ignore_errors=True)
        elif folder.result.exists():
            return  # another process has finished it since it was planned
        folder.root.mkdir(parents=True, exist_ok=True)
        if Trait.PACKAGE in approach.traits and folder.journal.exists():
            # It cannot go on: the run begins again, and its journal says so.
            number = len(folder.earlier) + 1
            folder.journal.rename(folder.root / f"journal.{number}.jsonl")
        if not folder.journal.exists():
            runtime.forget()
            shutil.rmtree(stores, ignore_errors=True)
        cache = CACHE_BYTES if run.spec.protocol.caches else 0
        topology = runtime.make_topology(run.name, run.spec.workers, threads, cache_bytes=cache)
        runtime.share(stores)
        write_atomically(folder.run, json.dumps(_record(run, runtime, topology), indent=1))
        topology.write(folder.topology)
        with Journal(folder.restarts, run.name) as restarts:
            sampling = Sampling(runtime, topology, restarts)
            supervisor = Supervisor(runtime, topology, roles, restarts)
            sampling.start()
            supervisor.start()
            _drive(run, runtime, (supervisor.look, sampling.look), watch)
            sampling.finish(folder.telemetry)
        runtime.stop(purge=True)
        shutil.rmtree(stores)


def _drive(
    run: PlannedRun, runtime: Runtime, looks: Sequence[Callable[[], None]], watch: Watcher
) -> None:
    folder = run.folder
    seen, restarts = Tail(folder.journal), Tail(folder.restarts)
    deque(restarts.events(), maxlen=0)
    log_start = folder.log.stat().st_size if folder.log.exists() else 0
    driver = runtime.drive(folder.root, folder.log)
    status = None
    try:
        while status is None:
            status = driver.wait(WATCH_SECONDS)
            for event in seen.events():
                watch(event)
            if status is None:
                for look in looks:
                    look()
                for event in restarts.events():
                    watch(event)
    finally:
        if status is None:
            _end(driver)
    for event in seen.events():
        watch(event)
    if status == 0 and folder.result.exists():
        return
    lines = folder.log.read_bytes()[log_start:].decode(errors="replace").splitlines()
    if status == USER_ERROR_STATUS:
        # Threads that end with the driver may have the last word.
        told = [line for line in lines if line.startswith("error: ")]
        raise UserError(told[-1].removeprefix("error: ") if told else _mute(folder))
    tail = "\n".join(lines[-15:])
    raise ReproduceError(
        f"{run.name} failed: its driver ended with {exit_text(status)}. Finished units "
        f"are kept, and the same command goes on after them; {folder.log} ends with:\n{tail}"
    )


def _mute(folder: RunFolder) -> str:
    """For a driver that could not even say what is wrong."""
    return f"{folder.log}: cannot be written; is the disk of {folder.root} full?"


def _end(driver: Driver) -> None:
    """Interrupt the driver, which closes its approach; kill it if that takes too long."""
    driver.interrupt()
    if driver.wait(STOP_SECONDS) is None:
        driver.kill()


def _record(run: PlannedRun, runtime: Runtime, topology: Topology) -> dict[str, object]:
    """``run.json``: what, where, with which versions."""
    return {
        "run": run.name,
        "spec": run.spec.to_json(),
        "fingerprint": run.parts,
        "version": __version__,
        "runtime": runtime.describe(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "devices": gpus.devices(topology),
        },
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
