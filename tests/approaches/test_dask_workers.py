"""A client that breaks while its scheduler dies must not keep the driver waiting."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from experiments.approaches import cerebro_standalone
from experiments.approaches.base import RunContext
from experiments.approaches.cerebro_standalone import DaskWorkers
from experiments.datasets import prepare
from experiments.errors import ServerDied
from experiments.mop.store import ModelStore
from experiments.runtime.local import LocalRuntime
from experiments.specs.topology import SCHEDULER, WORKER
from experiments.telemetry.journal import Journal
from tests.contracts.conftest import contract_spec


def test_a_client_that_does_not_connect_again_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cerebro_standalone, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(cerebro_standalone, "LOOK_SECONDS", 0.1)
    spec = contract_spec("cerebro-standalone")
    dataset = prepare(spec.dataset, spec.workers, spec.seed)
    with (
        LocalRuntime(tmp_path / "cluster") as runtime,
        Journal(tmp_path / "journal.jsonl", "dask") as journal,
    ):
        topology = runtime.make_topology("dask", spec.workers, 1)
        runtime.start(topology, (SCHEDULER, WORKER))
        store = ModelStore(tmp_path / "stores")
        remote = DaskWorkers(RunContext(spec, dataset, topology, journal, store, ()), ())
        client: Any = _connected(remote)

        async def broken(**_: object) -> None:
            raise ValueError("IOStream is not idle; cannot convert to SSL")

        monkeypatch.setattr(client, "_ensure_connected", broken)
        died: list[BaseException] = []

        def call() -> None:
            try:
                remote._on(0, time.sleep, 60)
            except ServerDied as error:
                died.append(error)

        os.kill(runtime.pids()[SCHEDULER, 0], signal.SIGKILL)
        _until(lambda: client.status == "connecting")
        waiting = threading.Thread(target=call, daemon=True)
        waiting.start()
        waiting.join(30)
        remote.close()
        assert not waiting.is_alive()
        assert "not connected for 1 s" in str(died[0])


def _connected(remote: DaskWorkers) -> Any:
    deadline = time.monotonic() + 60
    while True:
        try:
            return remote._connected()
        except ServerDied:
            assert time.monotonic() < deadline


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
