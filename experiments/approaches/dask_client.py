"""The driver's way to Dask workers: TLS with the cluster's own authority, and nothing automatic.

``distributed`` takes most of a second to import, so only the functions that need it do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.approaches.recovery import RETURN_SECONDS
from experiments.errors import ServerDied
from experiments.specs.secrets import Secrets
from experiments.specs.topology import SCHEDULER, WORKER, Topology

CONNECT_SECONDS = 30.0

SETTINGS: Mapping[str, Any] = {
    # A unit belongs to one worker and fails with it: the engine decides what to do again.
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.active-memory-manager.start": False,
    # A long training step may keep a worker silent; a dead one is noticed by its connection.
    "distributed.scheduler.worker-ttl": None,
    # A task whose worker does not come back in time fails instead of waiting for ever.
    "distributed.scheduler.no-workers-timeout": f"{RETURN_SECONDS:g}s",
    # Sampling stacks every 10 ms costs what we measure.
    "distributed.worker.profile.enabled": False,
    # So does asking a GPU's driver, and one that is broken would end the worker.
    "distributed.diagnostics.nvml": False,
    "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS:g}s",
}


def worker_name(index: int) -> str:
    """Dask's name of worker ``index``, to pin a task to it."""
    return f"{WORKER}-{index}"


def security(secrets: Secrets) -> Any:
    """A ``distributed.Security`` that speaks TLS only and only with holders of ``secrets``."""
    from distributed import Security

    files = {"cert": str(secrets.cert), "key": str(secrets.key)}
    identities = {
        f"tls_{role}_{kind}": path
        for role in ("scheduler", "worker", "client")
        for kind, path in files.items()
    }
    return Security(tls_ca_file=str(secrets.ca), require_encryption=True, **identities)


def connect(topology: Topology, timeout: float = CONNECT_SECONDS) -> Any:
    """A ``distributed.Client`` of a cluster whose workers have all registered.

    Raises
    ------
    ServerDied
        The scheduler or a worker does not answer within ``timeout`` seconds; names the workers.
    """
    import dask
    from distributed import Client

    dask.config.set(SETTINGS)
    try:
        client = Client(
            topology.scheduler,
            timeout=timeout,
            security=security(Secrets(topology.secrets)),
            set_as_default=False,
        )
    except (OSError, TimeoutError) as error:
        raise ServerDied(
            f"the {SCHEDULER} at {topology.scheduler} does not answer ({error})"
        ) from None
    try:
        client.wait_for_workers(topology.workers, timeout)
    except TimeoutError:
        known = client.scheduler_info(n_workers=-1)["workers"].values()
        names = {worker["name"] for worker in known}
        missing = [n for n in map(worker_name, range(topology.workers)) if n not in names]
        client.close()
        raise ServerDied(
            f"{', '.join(missing)} did not register with the {SCHEDULER} within {timeout:g} s"
        ) from None
    return client
