"""Ports that are held, and signs of readiness."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from experiments.errors import EnvironmentFault
from experiments.runtime.ports import PortHolder, taken
from experiments.runtime.waits import LogLine, PortOpen

LOOPBACK = "127.0.0.1"


@pytest.fixture
def holder() -> Iterator[PortHolder]:
    holder = PortHolder(LOOPBACK)
    yield holder
    holder.release_all()


def test_held_ports_are_distinct_and_nobody_else_gets_them(holder: PortHolder) -> None:
    ports = [holder.hold() for _ in range(32)]
    assert len(set(ports)) == 32
    assert all(taken(LOOPBACK, port) for port in ports)
    holder.release(ports[0])
    holder.release(ports[0])
    assert not taken(LOOPBACK, ports[0])


def test_a_port_left_to_its_server_is_not_given_to_another_cluster(holder: PortHolder) -> None:
    """The server may not listen yet, or may have died and be about to start again."""
    port = holder.hold()
    holder.release(port)
    other = PortHolder(LOOPBACK)
    try:
        assert other.hold(port) != port
        holder.release_all()
        assert other.hold(port) == port
    finally:
        other.release_all()


def test_a_preferred_port_is_kept_if_it_is_free(holder: PortHolder) -> None:
    port = holder.hold()
    assert holder.hold(port) != port
    holder.release_all()
    assert holder.hold(port) == port


def test_a_port_is_free_though_a_connection_of_its_last_server_lingers(holder: PortHolder) -> None:
    port = holder.hold()
    holder.release_all()
    with socket.create_server((LOOPBACK, port)) as server:
        client = socket.create_connection((LOOPBACK, port))
        connection, _ = server.accept()
    connection.close()  # The side that closes first keeps the address for a minute.
    assert client.recv(1) == b""
    client.close()
    assert holder.hold(port) == port
    with pytest.raises(OSError, match="in use"):
        socket.create_server((LOOPBACK, port))


def test_an_address_that_is_not_this_machine_is_named() -> None:
    with pytest.raises(EnvironmentFault, match=r"cannot listen on 203\.0\.113\.1:5000"):
        taken("203.0.113.1", 5000)


@dataclass(frozen=True)
class Stand:
    """Something with an output and a port."""

    endpoint: tuple[str, int]
    text: str = ""

    def output(self) -> str:
        return self.text


def test_a_log_line_is_waited_for() -> None:
    wait = LogLine("ready")
    assert not wait.met(Stand((LOOPBACK, 1), "getting re"))
    assert wait.met(Stand((LOOPBACK, 1), "getting re\nis ready now\n"))
    assert str(wait) == "'ready' in its log"


def test_an_open_port_is_waited_for(holder: PortHolder) -> None:
    stand = Stand((LOOPBACK, holder.hold()))
    holder.release_all()
    assert not PortOpen().met(stand)
    with socket.create_server(stand.endpoint):
        assert PortOpen().met(stand)
