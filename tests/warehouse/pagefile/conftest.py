"""A PostgreSQL of its own for these tests: with page checksums, and free to be damaged."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from experiments.warehouse.server import SETTINGS
from experiments.warehouse.tree import SYSTEM_LIB

USER = "postgres" if os.geteuid() == 0 else None
_LOCAL = {"autovacuum": "off", "listen_addresses": "''", "shared_buffers": "16MB"}


@dataclass(frozen=True)
class Server:
    """A running server; clients come by its socket, in its own folder."""

    folder: Path

    @property
    def dsn(self) -> str:
        return f"host={self.folder} user=tester dbname=postgres"

    def connect(self, dsn: str | None = None) -> Any:
        connection = psycopg2.connect(dsn or self.dsn)
        connection.autocommit = True
        return connection

    def run(self, *command: str) -> None:
        """One of the server's tools, as its user."""
        subprocess.run(
            [SYSTEM_LIB / "bin" / command[0], *command[1:]],
            check=True,
            user=USER,
            cwd="/",
            stdout=subprocess.DEVNULL,
        )

    def start(self, settings: Mapping[str, str]) -> None:
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (self.folder / "data" / "postgresql.conf").write_text(lines)
        self.run("pg_ctl", "start", "-w", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log")

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "-m", "fast", "-w", "-D", f"{self.folder}/data")


@pytest.fixture(scope="session")
def server(state_folder: Path) -> Iterator[Server]:
    made = Server(state_folder / "pagefile")
    made.folder.mkdir()
    if USER:
        shutil.chown(made.folder, USER)
    made.run(
        "initdb",
        f"--pgdata={made.folder}/data",
        "--username=tester",
        "--auth=trust",
        "--locale=C",
        "--encoding=UTF8",
        "--data-checksums",
        "--no-sync",
    )
    sockets = {"unix_socket_directories": f"'{made.folder}'"}
    made.start({**SETTINGS, **_LOCAL, **sockets, "max_prepared_transactions": "4"})
    yield made
    made.stop()


@pytest.fixture
def connection(server: Server) -> Iterator[Any]:
    made = server.connect()
    yield made
    made.close()


@pytest.fixture
def other(server: Server) -> Iterator[Any]:
    """A second session."""
    made = server.connect()
    yield made
    made.close()
