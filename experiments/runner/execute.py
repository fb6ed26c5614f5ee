"""Carry out planned runs, one at a time: start what a run needs, drive it, stop everything."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
import platform
import shutil
from collections import deque
from collections.abc import Callable, Sequence

import psutil

from experiments import __version__
from experiments.approaches.base import Trait, find
from experiments.datasets import find_source, is_prepared
from experiments.errors import EnvironmentFault, ReproduceError, UserError
from experiments.files import write_atomically
from experiments.paths import STATE_VARIABLE, RunFolder, state
from experiments.runner import spark
from experiments.runner.plan import PlannedRun
from experiments.runner.supervise import Supervisor
from experiments.runtime import gpus
from experiments.runtime.base import Driver, Runtime
from experiments.runtime.local import LocalRuntime
from experiments.runtime.started import USER_ERROR_STATUS, exit_text
from experiments.specs.load import approaches
from experiments.specs.model import RunSpec
from experiments.specs.topology import CACHE_BYTES, Topology
from experiments.telemetry.journal import Event, Journal, Tail

WORKER_BYTES = 900 * 2**20
"""Memory of a process that trains: TensorFlow, a small model and its shard (measured: 0.5 to
0.7 GB)."""

WAITER_BYTES = 100 * 2**20
"""Memory of a process that waits for an emulated device, states and rows aside (measured: 40 to 60
MB)."""

STATES = 4
"""Copies of an emulated model's state in a worker at most: its own, and those read and written."""

TABLES = 2
"""Copies of the data in a database: the loaded table and the packed one. The prepared partitions
are another, which all approaches share."""

EXPORTED = 8
"""Copies of the data that a system outside the database makes: exported, cast to double and written
again by the system and its readers, all uncompressed in the worst case."""

JOB_BYTES = 1200 * 2**20
"""Memory of the driver of a system in an environment of its own, and of its JVM (measured: 0.6 and
0.4 GB)."""

SPARE_BYTES = 2**30
"""Beyond the data: server files, model states, logs."""

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
    check_machine([run.spec])
    folder = run.folder
    root = state().clusters / run.name
    stores = state().stores / run.name
    threads = max(1, (os.cpu_count() or 1) // run.spec.workers)
    with LocalRuntime(root) as runtime:
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
        write_atomically(folder.run, json.dumps(_record(run, topology), indent=1))
        topology.write(folder.topology)
        with Journal(folder.restarts, run.name) as restarts:
            supervisor = Supervisor(runtime, topology, roles, restarts)
            supervisor.start()
            _drive(run, runtime, supervisor, watch)
        runtime.stop(purge=True)
    shutil.rmtree(stores)


def _drive(run: PlannedRun, runtime: Runtime, supervisor: Supervisor, watch: Watcher) -> None:
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
                supervisor.look()
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


def _record(run: PlannedRun, topology: Topology) -> dict[str, object]:
    """``run.json``: what, where, with which versions."""
    return {
        "run": run.name,
        "spec": run.spec.to_json(),
        "fingerprint": run.parts,
        "version": __version__,
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


def check_machine(specs: Sequence[RunSpec]) -> None:
    """Refuse before anything starts what this machine cannot hold.

    Parameters
    ----------
    specs : runs to be carried out one after the other; their data sets stay, their databases go.

    Raises
    ------
    EnvironmentFault
        Too little memory or disk, no Java, a Spark cluster that does not answer; the message says
        what is needed and what to do.
    """
    for spec in specs:
        spark.check(spec)
        data = _data_bytes(spec)
        read = data * (spec.workers if _copies_all(spec) else 1)
        memory = spec.workers * _worker_bytes(spec) + min(read, spec.workers * CACHE_BYTES)
        memory += spark.memory_bytes(spec)
        memory += JOB_BYTES if approaches()[spec.approach].environment else 0
        available = psutil.virtual_memory().available
        if available < memory:
            raise EnvironmentFault(
                f"{spec.experiment} needs about {memory / 2**30:.1f} GiB of memory for "
                f"{spec.workers} workers and {available / 2**30:.1f} GiB are free: use fewer with "
                "--workers, or a smaller --scale"
            )
    root = state().root
    root.mkdir(parents=True, exist_ok=True)
    prepared = {(spec.dataset, spec.workers, spec.seed): _data_bytes(spec) for spec in specs}
    largest = max(specs, key=_copied_bytes)
    there = sum(size for part, size in prepared.items() if is_prepared(*part))
    disk = sum(prepared.values()) - there + _copied_bytes(largest) + SPARE_BYTES
    free = shutil.disk_usage(root).free
    if free < disk:
        raise EnvironmentFault(
            f"{largest.experiment} needs about {disk / 2**30:.1f} GiB of disk"
            f"{', with all data sets asked for,' if len(prepared) > 1 else ''} and {root} has "
            f"{free / 2**30:.1f} GiB free: free some, or set {STATE_VARIABLE} to another folder"
        )


def _worker_bytes(spec: RunSpec) -> int:
    if spec.emulation is None:
        return WORKER_BYTES
    models = spec.emulation.models.values()
    kept = sum(model.state_bytes for model in models)
    return WAITER_BYTES + kept + STATES * max(model.state_bytes for model in models)


def _copied_bytes(spec: RunSpec) -> int:
    """What a run writes beside the prepared partitions, and removes when it is done."""
    outside = EXPORTED if approaches()[spec.approach].environment else 0
    copies = spec.workers if _copies_all(spec) else TABLES + outside
    return copies * _data_bytes(spec)


def _copies_all(spec: RunSpec) -> bool:
    """Whether every worker has a copy of the whole data set."""
    return Trait.TASK_PARALLEL in find(spec.approach).traits


def _data_bytes(spec: RunSpec) -> int:
    shape = find_source(spec.dataset.name).info.input_shape
    return 4 * math.prod(shape) * (spec.dataset.train_rows + spec.dataset.valid_rows)
