"""The process behind a notebook, kept from writing on the user's terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager


def manager_with_log(log: Path) -> type[AsyncKernelManager]:
    """A kernel manager whose kernel says in a file what it does not say in messages.

    A kernel ends by being interrupted; one that is interrupted at the wrong moment, or that dies,
    writes a traceback to its standard error, which would be this process's.
    """

    class Manager(AsyncKernelManager):
        # The parent's annotation is that of its own parent, which is not asynchronous.
        async def start_kernel(self, **settings: Any) -> None:  # type: ignore[override]
            with log.open("wb") as said:
                await super().start_kernel(stderr=said, **settings)

    return Manager
