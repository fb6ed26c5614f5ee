"""Dask's scheduler and worker with two habits changed. Importing this imports ``distributed``."""

from __future__ import annotations

from typing import Any

from distributed import Scheduler, Worker

CLOSE_SECONDS = 2.0


class ClosedScheduler(Scheduler):  # type: ignore[misc]
    """A scheduler whose only port is the encrypted one."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Open no port: Dask's own would serve plain HTTP even with the dashboard off."""


class ClosedWorker(Worker):  # type: ignore[misc]
    """A worker whose only port is the encrypted one, and that ends at once when it is to end."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Open no port: Dask's own would serve plain HTTP even with the dashboard off."""

    async def close(self, **options: Any) -> Any:
        """Do not wait for the running task: nobody takes its result any more."""
        quick = {"timeout": CLOSE_SECONDS, "executor_wait": False}
        return await super().close(**{**options, **quick})
