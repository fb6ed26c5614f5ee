"""GPUs, asked of NVML: how busy they and their memory are, what it holds, power and energy.

The release's "GPU RAM" is how busy the memory's controller was (``nvidia-smi utilization.memory``);
here both that (``controller_pct``) and what the memory holds (``used_bytes``) are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from experiments import nvidia
from experiments.telemetry.readings import GPU, GPU_PROCESS, Reading

OTHERS = "others"
"""The role of processes on a GPU that are not the run's, or that this sampler cannot see."""


class Gpus:
    """Reads all GPUs of the machine, or of the container.

    A GPU that is divided (MIG) is read itself, for power and energy, and so are its instances, for
    memory and processes. What a GPU does not tell is asked once, and the reason kept.

    Attributes
    ----------
    states : what cannot be read, by source and what of it, with the reason.
    """

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self._devices: dict[str, Any] = {}
        self._refused: set[tuple[str, str]] = set()
        found = nvidia.find()
        if found.reason:
            self.states[GPU] = found.reason
        if not found.gpus:
            return
        import pynvml

        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
            self._devices = dict(self._every())
        except pynvml.NVMLError as error:
            self.states[GPU] = f"the NVIDIA driver does not answer: {error}"

    def read(self, group_of: Callable[[int], str | None]) -> Mapping[str, Reading]:
        """Readings of GPUs, and of roles on them.

        Parameters
        ----------
        group_of : role of a process; None for one that is not the run's.
        """
        if not self._devices:
            return {}
        gpus: dict[str, dict[str, int]] = {}
        held: dict[str, dict[str, int]] = {}
        for uuid, device in self._devices.items():
            gpus[uuid] = {}
            for what, ask in _QUESTIONS.items():
                gpus[uuid] |= self._ask(uuid, what, ask, device)
            for pid, used in self._ask(uuid, "processes", _processes, device).items():
                role = held.setdefault(
                    f"{uuid}/{group_of(pid) or OTHERS}", {"processes": 0, "used_bytes": 0}
                )
                role["processes"] += 1
                role["used_bytes"] += used
        return {GPU: gpus, GPU_PROCESS: held}

    def _every(self) -> Iterator[tuple[str, Any]]:
        for index in range(self._nvml.nvmlDeviceGetCount()):
            whole = self._nvml.nvmlDeviceGetHandleByIndex(index)
            yield self._uuid(whole), whole
            for part in nvidia.parts(self._nvml, whole):
                yield self._uuid(part), part

    def _uuid(self, device: Any) -> str:
        return str(self._nvml.nvmlDeviceGetUUID(device))

    def _ask(
        self, uuid: str, what: str, ask: Callable[[Any, Any], dict[Any, int]], device: Any
    ) -> dict[Any, int]:
        if (uuid, what) in self._refused:
            return {}
        try:
            return ask(self._nvml, device)
        except self._nvml.NVMLError as error:
            never = (self._nvml.NVMLError_NotSupported, self._nvml.NVMLError_FunctionNotFound)
            if isinstance(error, (*never, self._nvml.NVMLError_NoPermission)):
                self._refused.add((uuid, what))
            self.states[f"{GPU}/{uuid}/{what}"] = str(error)
            return {}


def _utilisation(nvml: Any, device: Any) -> dict[Any, int]:
    rates = nvml.nvmlDeviceGetUtilizationRates(device)
    return {"busy_pct": int(rates.gpu), "controller_pct": int(rates.memory)}


def _memory(nvml: Any, device: Any) -> dict[Any, int]:
    memory = nvml.nvmlDeviceGetMemoryInfo(device)
    return {"used_bytes": int(memory.used), "memory_bytes": int(memory.total)}


def _power(nvml: Any, device: Any) -> dict[Any, int]:
    return {"power_mw": int(nvml.nvmlDeviceGetPowerUsage(device))}


def _energy(nvml: Any, device: Any) -> dict[Any, int]:
    return {"energy_mj": int(nvml.nvmlDeviceGetTotalEnergyConsumption(device))}


def _processes(nvml: Any, device: Any) -> dict[Any, int]:
    """Memory of every process that computes on it; 0 where the driver does not tell."""
    found = nvml.nvmlDeviceGetComputeRunningProcesses(device)
    return {int(each.pid): int(each.usedGpuMemory or 0) for each in found}


_QUESTIONS: Mapping[str, Callable[[Any, Any], dict[Any, int]]] = {
    "utilisation": _utilisation,
    "memory": _memory,
    "power": _power,
    "energy": _energy,
}
