"""What a run needs of a machine: memory and disk, and whether they are there."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence

import psutil

from experiments.approaches.base import Trait, find
from experiments.datasets import find_source, is_prepared
from experiments.errors import EnvironmentFault
from experiments.paths import STATE_VARIABLE, state
from experiments.runner import spark
from experiments.runtime import choice
from experiments.runtime.definitions import DRIVER
from experiments.specs.load import approaches
from experiments.specs.model import RunSpec
from experiments.specs.topology import (
    CACHE_BYTES,
    COORDINATOR,
    SAMPLER,
    SCHEDULER,
    SEGMENT,
    SPARK_MASTER,
    SPARK_WORKER,
    WORKER,
)

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

SLACK_BYTES = 2**29
"""Beside what a container's processes take: files that the kernel keeps for it."""

SPARE_BYTES = 2**30
"""Beyond the data: server files, model states, logs."""


def check(specs: Sequence[RunSpec], runtime: str = choice.LOCAL) -> None:
    """Refuse before anything starts what this machine cannot hold.

    Parameters
    ----------
    specs : runs to be carried out one after the other; their data sets stay, their databases go.
    runtime : that carries them out.

    Raises
    ------
    EnvironmentFault
        Too little memory or disk, no Java, a Spark cluster that does not answer; the message says
        what is needed and what to do.
    """
    if runtime == choice.CLUSTER:
        return  # it is not this machine that must hold them
    for spec in specs:
        if runtime == choice.LOCAL:
            spark.check(spec)
        data = data_bytes(spec)
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
    largest = max(specs, key=copied_bytes)
    disk = disk_bytes(specs) + SPARE_BYTES
    free = shutil.disk_usage(root).free
    if free < disk:
        several = len({(spec.dataset, spec.workers, spec.seed) for spec in specs}) > 1
        raise EnvironmentFault(
            f"{largest.experiment} needs about {disk / 2**30:.1f} GiB of disk"
            f"{', with all data sets asked for,' if several else ''} and {root} has "
            f"{free / 2**30:.1f} GiB free: free some, or set {STATE_VARIABLE} to another folder"
        )


def disk_bytes(specs: Sequence[RunSpec], *, anew: bool = False) -> int:
    """Bytes that runs write at most.

    Data sets that are not prepared yet, which stay, and the largest run's own copies, which go when
    it is done.

    Parameters
    ----------
    anew : as if no data set were prepared.
    """
    prepared = {(spec.dataset, spec.workers, spec.seed): data_bytes(spec) for spec in specs}
    missing = sum(size for part, size in prepared.items() if anew or not is_prepared(*part))
    return missing + max(map(copied_bytes, specs), default=0)


def limits(spec: RunSpec) -> dict[str, int]:
    """Bound on the memory of each role's and of the driver's container, bytes.

    About twice what they take, or an even share of this machine's if that is more: a bound keeps a
    fault from taking the machine along, and a run must not meet it.
    """
    data = data_bytes(spec)
    shard = data if _copies_all(spec) else data // spec.workers
    trains = _worker_bytes(spec) + 2 * min(shard, CACHE_BYTES)
    package = bool(approaches()[spec.approach].environment)
    job = JOB_BYTES + spec.workers * trains + EXPORTED * data if package else 0
    needed = {
        COORDINATOR: WORKER_BYTES,
        SEGMENT: trains,
        SAMPLER: WAITER_BYTES,
        SCHEDULER: WAITER_BYTES,
        WORKER: trains,
        SPARK_MASTER: spark.MASTER_BYTES,
        SPARK_WORKER: spark.NODE_BYTES + trains,
        DRIVER: WORKER_BYTES + spark.DRIVER_BYTES + job,
    }
    share = psutil.virtual_memory().total // (spec.workers + 1)
    return {role: max(2 * bytes_ + SLACK_BYTES, share) for role, bytes_ in needed.items()}


def _worker_bytes(spec: RunSpec) -> int:
    if spec.emulation is None:
        return WORKER_BYTES
    models = spec.emulation.models.values()
    kept = sum(model.state_bytes for model in models)
    return WAITER_BYTES + kept + STATES * max(model.state_bytes for model in models)


def copied_bytes(spec: RunSpec) -> int:
    """What a run writes beside the prepared partitions, and removes when it is done."""
    outside = EXPORTED if approaches()[spec.approach].environment else 0
    copies = spec.workers if _copies_all(spec) else TABLES + outside
    return copies * data_bytes(spec)


def _copies_all(spec: RunSpec) -> bool:
    """Whether every worker has a copy of the whole data set."""
    return Trait.TASK_PARALLEL in find(spec.approach).traits


def data_bytes(spec: RunSpec) -> int:
    """Of a run's prepared rows, features as float32."""
    shape = find_source(spec.dataset.name).info.input_shape
    return 4 * math.prod(shape) * (spec.dataset.train_rows + spec.dataset.valid_rows)
