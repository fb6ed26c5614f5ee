"""NVML without a GPU: what ``libnvidia-ml.so.1`` would do, under the real ``pynvml``.

:func:`install` puts it in the place of the library in this process, :func:`python` makes an
interpreter in which it is there from the start, for the processes that a test starts.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import pynvml

from experiments.paths import CHECKOUT

GIB = 2**30


@dataclass(frozen=True)
class Card:
    """A GPU of the fake; only an A100 can be divided.

    Attributes
    ----------
    parts : UUIDs of its instances, if it is in MIG mode.
    error : what asking for it answers.
    busy : per cent of the time in which it, and its memory, worked; None where it does not tell.
    used, watts : bytes in use, power now.
    joules : energy since the driver was loaded; None where it does not count.
    processes : bytes that processes hold, by their numbers.
    """

    uuid: str
    name: str = "NVIDIA A100"
    memory: int = 40 * GIB
    parts: tuple[str, ...] | None = None
    error: int = 0
    busy: tuple[int, int] | None = (0, 0)
    used: int = 0
    watts: float = 0.0
    joules: float | None = 0.0
    processes: tuple[tuple[int, int], ...] = ()


class Patch(Protocol):
    """What pytest's ``monkeypatch`` and :class:`_Plain` do."""

    def setattr(self, target: object, name: str, value: object) -> None: ...


class Library:
    """Functions as the C library's, called as ctypes calls them."""

    def __init__(self, cards: list[Card], *, broken: int = 0) -> None:
        self._cards = cards
        self._broken = broken
        self._handles: list[Card] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        """A function that this version of the library lacks is an ``AttributeError`` in ctypes."""
        found: Callable[..., int] | None = _FUNCTIONS.get(name)
        if found is None:
            raise AttributeError(name)
        return lambda *arguments: found(self, *arguments)

    def init(self, _flags: int) -> int:
        return self._broken

    def shutdown(self) -> int:
        return 0

    def count(self, count: Any) -> int:
        count._obj.value = len(self._cards)
        return 0

    def by_index(self, index: Any, handle: Any) -> int:
        card = self._cards[index.value]
        return card.error or self._give(card, handle)

    def uuid(self, handle: Any, text: Any, _size: Any) -> int:
        text.value = self._card(handle).uuid.encode()
        return 0

    def name(self, handle: Any, text: Any, _size: Any) -> int:
        text.value = self._card(handle).name.encode()
        return 0

    def memory(self, handle: Any, memory: Any) -> int:
        card = self._card(handle)
        memory._obj.total, memory._obj.used = card.memory, card.used
        return 0

    def utilisation(self, handle: Any, rates: Any) -> int:
        busy = self._card(handle).busy
        if busy is None:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        rates._obj.gpu, rates._obj.memory = busy
        return 0

    def power(self, handle: Any, milliwatts: Any) -> int:
        milliwatts._obj.value = round(1000 * self._card(handle).watts)
        return 0

    def energy(self, handle: Any, millijoules: Any) -> int:
        joules = self._card(handle).joules
        if joules is None:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        millijoules._obj.value = round(1000 * joules)
        return 0

    def processes(self, handle: Any, count: Any, found: Any) -> int:
        held = self._card(handle).processes
        room, count._obj.value = count._obj.value, len(held)
        if not held:
            return 0
        if found is None or room < len(held):
            return int(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
        for place, (pid, used) in zip(found, held, strict=False):
            place.pid, place.usedGpuMemory = pid, used
        return 0

    def mig_mode(self, handle: Any, current: Any, _pending: Any) -> int:
        card = self._card(handle)
        if "A100" not in card.name:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        current._obj.value = card.parts is not None
        return 0

    def mig_count(self, _handle: Any, count: Any) -> int:
        count._obj.value = 7
        return 0

    def mig_by_index(self, handle: Any, index: Any, part: Any) -> int:
        card = self._card(handle)
        parts = card.parts or ()
        if index.value >= len(parts):
            return int(pynvml.NVML_ERROR_NOT_FOUND)
        return self._give(
            Card(parts[index.value], f"{card.name} MIG 1g.5gb", card.memory // 8, busy=None), part
        )

    def _give(self, card: Card, handle: Any) -> int:
        self._handles.append(card)
        where = ctypes.cast(ctypes.pointer(handle._obj), ctypes.POINTER(ctypes.c_void_p))
        where[0] = len(self._handles)
        return 0

    def _card(self, handle: Any) -> Card:
        return self._handles[(ctypes.cast(handle, ctypes.c_void_p).value or 0) - 1]


_FUNCTIONS: dict[str, Callable[..., int]] = {
    "nvmlInitWithFlags": Library.init,
    "nvmlShutdown": Library.shutdown,
    "nvmlDeviceGetCount_v2": Library.count,
    "nvmlDeviceGetHandleByIndex_v2": Library.by_index,
    "nvmlDeviceGetUUID": Library.uuid,
    "nvmlDeviceGetName": Library.name,
    "nvmlDeviceGetMemoryInfo": Library.memory,
    "nvmlDeviceGetUtilizationRates": Library.utilisation,
    "nvmlDeviceGetPowerUsage": Library.power,
    "nvmlDeviceGetTotalEnergyConsumption": Library.energy,
    "nvmlDeviceGetComputeRunningProcesses_v3": Library.processes,
    "nvmlDeviceGetMigMode": Library.mig_mode,
    "nvmlDeviceGetMaxMigDeviceCount": Library.mig_count,
    "nvmlDeviceGetMigDeviceHandleByIndex": Library.mig_by_index,
}


def install(patch: Patch, *cards: Card, broken: int = 0) -> None:
    """Have ``pynvml`` find these cards; with ``broken``, an error code when it is initialised."""
    _install(patch, Library(list(cards), broken=broken))


def remove(patch: Patch) -> None:
    """Have ``pynvml`` find no library, as where there is no driver."""

    def nothing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    patch.setattr(pynvml, "CDLL", nothing)
    _install(patch, None)


def _install(patch: Patch, library: Library | None) -> None:
    patch.setattr(pynvml, "nvmlLib", library)
    patch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})


class _Plain:
    def setattr(self, target: object, name: str, value: object) -> None:
        setattr(target, name, value)


def install_from(text: str) -> None:
    """Install for good, in a process of its own, what :func:`python` wrote."""
    cards = [
        Card(**{**each, "parts": each["parts"] and (*each["parts"],)}) for each in json.loads(text)
    ]
    install(_Plain(), *cards)


def python(folder: Path, *cards: Card) -> Path:
    """An executable that takes ``-m MODULE ...`` and whose ``pynvml`` finds these cards."""
    (folder / "cards.json").write_text(json.dumps([asdict(card) for card in cards]))
    (folder / "start.py").write_text(
        "import pathlib, runpy, sys\n"
        f"sys.path.insert(0, {str(CHECKOUT)!r})\n"
        "from tests import fake_nvml\n"
        f"fake_nvml.install_from(pathlib.Path({str(folder / 'cards.json')!r}).read_text())\n"
        "module, sys.argv = sys.argv[2], sys.argv[2:]\n"
        "runpy.run_module(module, run_name='__main__', alter_sys=True)\n"
    )
    made = folder / "python"
    made.write_text(f'#!/bin/sh\nexec {sys.executable} {folder / "start.py"} "$@"\n')
    made.chmod(0o755)
    return made
