"""The roles ``worker-scheduler`` and ``worker``.

Both run Dask in this process, without a nanny: whoever started a role watches it. Every connection
is TLS with the cluster's own authority on both ends. ``distributed`` takes most of a second to
import, so only the functions that need it do.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.approaches.dask_client import CONNECT_SECONDS, SETTINGS, security, worker_name
from experiments.errors import EnvironmentFault, ServerDied
from experiments.specs.secrets import Secrets
from experiments.specs.topology import CACHE_BYTES_VARIABLE, SCHEDULER, WORKER, Node, Topology

READY = "this role is ready"
"""Logged once a role serves."""

EXIT_SECONDS = 4

_log = logging.getLogger("experiments.runtime")


def run_scheduler(topology: Topology, node: Node) -> None:
    """Serve as the Dask scheduler until SIGTERM. Does not return."""
    _configure()
    from experiments.runtime.dask_servers import ClosedScheduler

    address, port = node.endpoint(SCHEDULER)

    def build() -> Any:
        return ClosedScheduler(
            host=address,
            port=port,
            protocol="tls",
            security=security(Secrets(topology.secrets)),
            dashboard=False,
        )

    _run(build, SCHEDULER, (address, port))


def run_worker(topology: Topology, node: Node) -> None:
    """Serve as the Dask worker of one node until SIGTERM or until the scheduler is gone.

    Does not return. One task runs at a time; memory is not bounded here.

    Raises
    ------
    EnvironmentFault
        The port is taken.
    ServerDied
        The scheduler did not answer within :data:`CONNECT_SECONDS`.
    """
    _configure()
    os.environ[CACHE_BYTES_VARIABLE] = str(topology.cache_bytes)
    from experiments.runtime.dask_servers import ClosedWorker

    address, port = node.endpoint(WORKER)
    scratch: Path = node.data / WORKER
    scratch.mkdir(parents=True, exist_ok=True)

    def build() -> Any:
        return ClosedWorker(
            topology.scheduler,
            host=address,
            port=port,
            protocol="tls",
            security=security(Secrets(topology.secrets)),
            name=worker_name(node.index),
            nthreads=1,
            memory_limit=0,
            local_directory=str(scratch),
            death_timeout=CONNECT_SECONDS,
            dashboard=False,
        )

    _run(build, WORKER, (address, port))


def _configure() -> None:
    """Only our settings count in a role, not those of the user's home or environment."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    import dask
    import distributed  # noqa: F401 - its import sets levels and defaults, which are then changed

    logging.getLogger("distributed").setLevel(logging.WARNING)
    dask.config.refresh(paths=[], env={})
    dask.config.set(SETTINGS)


def _run(build: Callable[[], Any], role: str, endpoint: tuple[str, int]) -> None:
    status = asyncio.run(_serve(build, role, endpoint))
    logging.shutdown()
    # A task's thread may still compute, and would keep the interpreter from ending.
    os._exit(status)


async def _serve(build: Callable[[], Any], role: str, endpoint: tuple[str, int]) -> int:
    try:
        server = await build()
    except (OSError, RuntimeError, TimeoutError) as error:
        raise _start_fault(error, role, endpoint) from error
    stop = asyncio.Event()

    def terminate() -> None:
        signal.alarm(EXIT_SECONDS)  # the kernel's own way out, should closing get stuck
        stop.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    _log.info("%s at %s", READY, server.address)
    told = asyncio.ensure_future(stop.wait())
    ended = asyncio.ensure_future(server.finished())
    await asyncio.wait({told, ended}, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        _log.error("the %s is gone", SCHEDULER)
        return 1
    await server.close()
    _log.info("stopped")
    return 0


def _start_fault(error: Exception, role: str, endpoint: tuple[str, int]) -> Exception:
    """Dask wraps what went wrong in a ``RuntimeError``."""
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
        address, port = endpoint
        return EnvironmentFault(
            f"port {port} of {address} is taken: the {role} cannot listen on it"
        )
    if isinstance(error, TimeoutError):
        return ServerDied(f"the {SCHEDULER} did not answer within {CONNECT_SECONDS:g} s")
    return error
