"""``--pilot``: measure this machine as a device, for runs that are to wait for it."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from experiments.datasets import find_source
from experiments.errors import ReproduceError
from experiments.files import write_atomically
from experiments.models import pilot
from experiments.paths import CHECKOUT, state
from experiments.specs.load import largest_batches
from experiments.specs.model import RunSpec

LOOPBACK_BYTES = 2**28


def measure(specs: Iterable[RunSpec]) -> Path:
    """Measure every architecture of some runs, each with its data set; the file that says it.

    What was measured before stays, except where it is measured again.

    Raises
    ------
    ReproduceError
        A model could not be trained here; the message ends with what it said.
    """
    path = state().pilot
    models: dict[str, dict[str, Any]] = {}
    if path.exists():
        models = json.loads(path.read_text(encoding="utf-8"))["models"]
    for spec in specs:
        smallest = min((config.batch_size for config in spec.configs), default=1)
        for architecture, largest in largest_batches(spec.configs, spec.search).items():
            small = min(smallest, -(-largest // 2))
            row = _row(spec, architecture, [small, max(largest, small + 1)])
            models.setdefault(spec.dataset.name, {})[architecture] = row
    found = {
        "title": f"this machine ({platform.processor() or platform.machine()})",
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "network_bytes_per_second": loopback(),
        "models": models,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(found, indent=1))
    return path


def missing(specs: Iterable[RunSpec]) -> list[RunSpec]:
    """The runs of which an architecture was not measured yet."""
    path = state().pilot
    models = json.loads(path.read_text(encoding="utf-8"))["models"] if path.exists() else {}
    return [
        spec
        for spec in specs
        if not {*largest_batches(spec.configs, spec.search)} <= {*models.get(spec.dataset.name, ())}
    ]


def loopback(size: int = LOOPBACK_BYTES) -> float:
    """Bytes per second that this machine sends to itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
    with sender, receiver:
        lane = threading.Thread(target=sender.sendall, args=(bytes(size),))
        buffer, left = bytearray(2**20), size
        start = time.perf_counter()
        lane.start()
        while left:
            left -= receiver.recv_into(buffer)
        seconds = time.perf_counter() - start
        lane.join()
    return size / seconds


def _row(spec: RunSpec, architecture: str, batches: list[int]) -> dict[str, Any]:
    info = find_source(spec.dataset.name).info
    asked = {
        "model": {
            "architecture": architecture,
            "input_shape": list(info.input_shape),
            "classes": len(info.class_names),
            "batch_size": batches[-1],
            "learning_rate": 1e-3,
            "regularization": 1e-4,
        },
        "batches": batches,
        "threads": max(1, (os.cpu_count() or 1) // spec.workers),
    }
    done = subprocess.run(
        [sys.executable, "-m", pilot.__name__],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    if done.returncode != 0:
        raise ReproduceError(f"{architecture} could not be measured:\n{done.stderr.rstrip()}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row
