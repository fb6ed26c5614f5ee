"""One command in a container of its own, without a network: started, waited for, removed."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.paths import state
from experiments.runtime.containers import FollowedContainer
from experiments.runtime.definitions import DRIVER, LABEL, OWNER_LABEL, Bind, confined
from experiments.runtime.engine import told
from experiments.runtime.images import image_of, reference
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
    name = f"{LABEL}-errand-{secrets.token_hex(6)}"
    definition = {
        **confined(binds),
        "name": name,
        "image": reference(image_of(DRIVER)),
        "labels": {LABEL: "1", OWNER_LABEL: str(state().root)},
        "command": list(command),
        "user": user,
        "environment": dict(environment),
        "network_mode": "none",
        "mem_limit": MEMORY_BYTES,
    }
    with tempfile.NamedTemporaryFile(prefix="cerebro-ds-") as said:
        try:
            with told(f"it started {name}"):
                running = FollowedContainer(client.containers.create(**definition), Path(said.name))
            status = None
            while status is None:
                status = running.wait(_LONG)
        finally:
            remove_container(client, name)
        return status, said.read().decode(errors="replace")
