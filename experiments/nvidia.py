"""The NVIDIA GPUs of this machine, as their driver's management library (NVML) tells of them.

Standard library only at import and free of syntax newer than Python 3.8: ``reproduce.py`` asks
before the environment stands, whatever ``python3`` started it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import EnvironmentFault

DEVICE = Path("/dev/nvidiactl")
"""There when an NVIDIA driver is."""

VISIBLE_VARIABLE = "CUDA_VISIBLE_DEVICES"
"""UUIDs of the GPUs that a process may see; none if it is empty, all if it is not set."""

_NO_DRIVER = "no NVIDIA driver"


@dataclass(frozen=True)
class Gpu:
    """A device that a process can compute on: a whole GPU, or an instance of one (MIG).

    Attributes
    ----------
    uuid : as ``nvidia-smi -L`` writes it: ``GPU-...`` or ``MIG-...``.
    memory_bytes : all of its memory, used or not.
    """

    uuid: str
    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Found:
    """What was found on this machine.

    Attributes
    ----------
    gpus : in the driver's order; instances in place of a GPU that is divided.
    reason : why there is none, or none but these; empty where nothing is amiss.
    broken : a driver or a GPU is there and does not work.
    """

    gpus: tuple[Gpu, ...] = ()
    reason: str = ""
    broken: bool = False


def find() -> Found:
    """Ask the driver; never raises."""
    try:
        import pynvml
    except ImportError:
        if not DEVICE.exists():
            return Found(reason=_NO_DRIVER)
        return Found(reason="a driver is there, asked once the environment stands")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        if not DEVICE.exists():
            return Found(reason=_NO_DRIVER)
        reason = "an NVIDIA driver is loaded, and its library libnvidia-ml.so.1 is not found"
        return Found(reason=reason, broken=True)
    except pynvml.NVMLError as error:
        return Found(reason=f"the NVIDIA driver does not answer: {error}", broken=True)
    try:
        return _ask(pynvml)
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def one(uuid: str) -> Gpu:
    """A GPU of this machine.

    Raises
    ------
    EnvironmentFault
        The driver does not tell of it.
    """
    found = find()
    for gpu in found.gpus:
        if gpu.uuid == uuid:
            return gpu
    there = found.reason or f"only {', '.join(gpu.uuid for gpu in found.gpus)}"
    raise EnvironmentFault(
        f"{uuid} is not here ({there}): nvidia-smi -L lists what is, and a container sees only the "
        "GPUs that the NVIDIA container toolkit gives it"
    )


def _ask(nvml: Any) -> Found:
    gpus: list[Gpu] = []
    amiss: list[str] = []
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        return Found(reason=f"the NVIDIA driver does not answer: {error}", broken=True)
    for index in range(count):
        try:
            device = nvml.nvmlDeviceGetHandleByIndex(index)
            found = [_describe(nvml, part) for part in parts(nvml, device)]
        except nvml.NVMLError as error:
            amiss.append(f"GPU {index}: {error}")
            continue
        if not found:
            amiss.append(f"GPU {index}: is in MIG mode and has no instance")
        gpus.extend(found)
    if not count:
        return Found(reason="the NVIDIA driver names no GPU")
    return Found(tuple(gpus), "; ".join(amiss), bool(amiss))


def parts(nvml: Any, device: Any) -> list[Any]:
    """The device itself, or its instances: nothing computes on a device that is divided."""
    try:
        mode, _ = nvml.nvmlDeviceGetMigMode(device)
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        mode = nvml.NVML_DEVICE_MIG_DISABLE
    if mode != nvml.NVML_DEVICE_MIG_ENABLE:
        return [device]
    instances = []
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(device)):
        with contextlib.suppress(nvml.NVMLError_NotFound):
            instances.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index))
    return instances


def _describe(nvml: Any, device: Any) -> Gpu:
    return Gpu(
        str(nvml.nvmlDeviceGetUUID(device)),
        str(nvml.nvmlDeviceGetName(device)),
        int(nvml.nvmlDeviceGetMemoryInfo(device).total),
    )
