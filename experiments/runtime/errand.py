"""One command in a container of its own, without a network: started, waited for, removed."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.paths import state
from experiments.runtime.containers import FollowedContainer, input_open
from experiments.runtime.definitions import (
    CLUSTER_LABEL,
    DRIVER,
    LABEL,
    OWNER_LABEL,
    Bind,
    confined,
    owner,
)
from experiments.runtime.engine import told
from experiments.runtime.images import image_of, reference
from experiments.runtime.lock import FolderLock
from experiments.runtime.sweep import remove_container

MEMORY_BYTES = 4 * 2**30
_LONG = 24 * 3600.0


def run(
    client: Any,
    command: Sequence[str],
    *,
    binds: Iterable[Bind],
    user: str,
    environment: Mapping[str, str],
) -> tuple[int, str]:
    """Carry out ``python -m experiments COMMAND`` in the driver's image.

    Returns
    -------
    The exit status, negative after a signal, and all that the command said.
    """
    cluster = f"errand-{secrets.token_hex(6)}"
    name = f"{LABEL}-{cluster}"
    definition = {
        **confined(binds),
        "name": name,
        "image": reference(image_of(DRIVER)),
        "labels": {LABEL: "1", CLUSTER_LABEL: cluster, OWNER_LABEL: owner()},
        "command": ["hold", *command],
        "stdin_open": True,
        "user": user,
        "environment": dict(environment),
        "network_mode": "none",
        "mem_limit": MEMORY_BYTES,
    }
    lock = FolderLock(state().clusters / cluster)
    lock.take()  # so that no other command takes it for what a killed one left
    with tempfile.NamedTemporaryFile(prefix="cerebro-ds-") as said:
        try:
            with told(f"it carried out {name}"):
                made = client.containers.create(**definition)
                with input_open(made):
                    status = _ended(FollowedContainer(made, Path(said.name)))
        finally:
            remove_container(client, name)
            shutil.rmtree(state().clusters / cluster)
            lock.release()
        return status, said.read().decode(errors="replace")


def _ended(running: FollowedContainer) -> int:
    while (status := running.wait(_LONG)) is None:
        continue
    return status
