"""This process's membership in a group of ranks that train one model together.

The group is ``torch.distributed``'s own: gloo on CPUs, NCCL on GPUs. Its ranks meet in a file of a
folder that they share, so that meeting needs no open port. A group lasts for one task of all its
ranks, since one that has lost a rank is of no use any more; making one takes some 10 ms.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from experiments import nvidia
from experiments.errors import EnvironmentFault, ServerDied
from experiments.files import unwritable

MEET_SECONDS = 15.0
"""How long a rank waits for the others to come, and for each step of connecting to them; they have
built their models by then."""

GIVE_UP_SECONDS = 18.0
"""How long connecting may take before the process ends itself."""

_FULL = os.strerror(errno.ENOSPC)
"""Torch tells of a full disk in these words alone."""

STEP_SECONDS = 60.0
"""How long a rank waits for another that is still connected; one that died is noticed at once."""


@dataclass(frozen=True)
class Group:
    """A group as one of its ranks knows it.

    Attributes
    ----------
    name : of this group alone; no later group of the same run has it.
    folder : shared by all ranks; the group makes one file there.
    rank, size : this rank, from 0, and how many there are.
    address : IP address or host name that this rank listens on, and nothing else.
    """

    name: str
    folder: Path
    rank: int
    size: int
    address: str


@dataclass
class Traffic:
    """What one rank gave to all-reduce.

    Attributes
    ----------
    steps : optimizer steps.
    bytes : of all gradient buckets of all steps.
    """

    steps: int = 0
    bytes: int = 0

    def sent(self, size: int) -> int:
        """Bytes that a rank of ``size`` sends for this: a ring passes each bucket on in ``size``
        pieces, each ``size - 1`` times to be summed and as often to be told (Patarasuk & Yuan)."""
        return 2 * (size - 1) * self.bytes // size


@contextlib.contextmanager
def joined(group: Group) -> Iterator[None]:
    """Make a group with the other ranks, and be in it.

    The end of the block, however it comes, ends the membership: the other ranks do not wait.

    Raises
    ------
    ServerDied
        Another rank left, died, or did not come in time.
    EnvironmentFault
        The disk under the shared folder is full.
    """
    try:
        _join(group)
        yield
    except BaseException as error:
        if _FULL in str(error):
            full = OSError(errno.ENOSPC, _FULL)
            raise unwritable(group.folder / f"group-{group.name}", full) from error
        if _is_loss(error):
            reason = str(error).strip().partition("\n")[0]
            raise ServerDied(f"rank {group.rank} lost the other ranks ({reason})") from error
        raise
    finally:
        _leave()


def _leave() -> None:
    from torch.distributed import destroy_process_group, distributed_c10d, is_initialized

    if is_initialized():
        destroy_process_group()
    # Torch counts groups and has the count in the keys under which ranks meet, and forgets a count
    # only with its group: after a group that was never made, this process would meet no new one.
    distributed_c10d._world.group_count = 0


def _join(group: Group) -> None:
    import torch
    import torch.distributed

    _claim(group)
    interface = _interface(group.address)
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = interface
    store = torch.distributed.FileStore(str(group.folder / f"group-{group.name}"), group.size)
    store.set_timeout(timedelta(seconds=MEET_SECONDS))
    backend = _backend(_meet(group, store))
    try:
        with _ending_process_after(GIVE_UP_SECONDS):
            torch.distributed.init_process_group(
                backend,
                store=store,
                rank=group.rank,
                world_size=group.size,
                timeout=timedelta(seconds=MEET_SECONDS),
            )
    except RuntimeError as error:
        raise ServerDied(f"rank {group.rank} lost the others while connecting ({error})") from error
    torch.distributed.distributed_c10d._set_pg_timeout(timedelta(seconds=STEP_SECONDS))


def _meet(group: Group, store: Any) -> list[str]:
    """Every rank's device once all are here; :class:`ServerDied` names those that did not come."""
    here = [f"rank-{rank}" for rank in range(group.size)]
    store.set(here[group.rank], _device())
    try:
        store.wait(here)
        return [store.get(name).decode() for name in here]
    except RuntimeError as error:
        missing = [name.replace("-", " ") for name in here if not store.check([name])]
        raise ServerDied(
            f"{', '.join(missing)} did not meet rank {group.rank} within {MEET_SECONDS:g} s"
        ) from error


_CPU = "cpu"


def _device() -> str:
    """What this process trains on: its GPU by its own name in the world, or the CPU.

    The variable knows an instance of a GPU from its neighbour, which torch may not.
    """
    import torch

    if not torch.cuda.is_available():
        return _CPU
    given = os.environ.get(nvidia.VISIBLE_VARIABLE)
    return given or str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)


def _backend(devices: list[str]) -> str:
    """NCCL where each rank has a GPU for itself; it refuses to share one, which gloo does not.

    Ranks on instances of one GPU share it, to NCCL.
    """
    alone = len({*devices}) == len(devices) and not any(map(_is_instance, devices))
    return "nccl" if alone and _CPU not in devices else "gloo"


def _is_instance(device: str) -> bool:
    return device.startswith("MIG-")


@contextlib.contextmanager
def _ending_process_after(seconds: float) -> Iterator[None]:
    """End this process if the block takes longer; whoever started it starts it again.

    Gloo waits for ever, in C++, for a rank that dies while they connect.
    """

    def end() -> None:
        print(f"the ranks did not meet within {seconds:g} s", file=sys.stderr, flush=True)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _claim(group: Group) -> None:
    """Be the only process that is ever this rank of this group.

    Dask's client sends a task again that a dying scheduler may have given away already; the others
    would then look for a process that is gone.
    """
    try:
        (group.folder / f"group-{group.name}.rank-{group.rank}").touch(exist_ok=False)
    except FileExistsError:
        raise ServerDied(f"rank {group.rank} died before it met the other ranks") from None


def _interface(address: str) -> str:
    """Name of the network interface that has an address.

    Raises
    ------
    EnvironmentFault
        No interface of this machine has it.
    """
    number = socket.gethostbyname(address)
    interfaces: dict[str, list[Any]] = psutil.net_if_addrs()
    for name, entries in interfaces.items():
        if any(entry.address == number for entry in entries):
            return name
    if number.startswith("127."):  # all of it is the loopback interface's
        return _interface("127.0.0.1")
    raise EnvironmentFault(f"no network interface of this machine has the address {address}")


def _is_loss(error: BaseException) -> bool:
    """Gloo's errors are plain ``RuntimeError``; what tells them is that they name its source."""
    from torch.distributed import DistError

    gloo = isinstance(error, RuntimeError) and "/gloo/" in str(error)
    return gloo or isinstance(error, DistError)
