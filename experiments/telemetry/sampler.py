"""The loop of the role ``sampler``: a sample at once, one every period, one when it is stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from experiments.errors import SpecError
from experiments.telemetry import readings
from experiments.telemetry.cgroup import ControlGroup
from experiments.telemetry.devices import Disks
from experiments.telemetry.gpu import Gpus
from experiments.telemetry.network import Interfaces
from experiments.telemetry.proc import Machine
from experiments.telemetry.processes import Processes
from experiments.telemetry.readings import Header, Reading, Sample
from experiments.telemetry.store import LiveFile

PERIOD_VARIABLE = "CEREBRO_DS_SAMPLE_SECONDS"
PERIOD_SECONDS = 1.0
_SHORTEST, _LONGEST = 0.05, 60.0
_STOP = (signal.SIGTERM, signal.SIGINT)


def period() -> float:
    """Seconds from one sample to the next: ``$CEREBRO_DS_SAMPLE_SECONDS``.

    Raises
    ------
    SpecError
        It is no number, or out of its bounds.
    """
    text = os.environ.get(PERIOD_VARIABLE) or str(PERIOD_SECONDS)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not _SHORTEST <= value <= _LONGEST:
        raise SpecError(
            f"{PERIOD_VARIABLE} is {text!r}: expected seconds, {_SHORTEST:g} to {_LONGEST:g}"
        )
    return value


class Sampler:
    """Reads everything that a node shows.

    Parameters
    ----------
    run : the run's name.
    cluster : whose marks the run's processes bear.
    """

    def __init__(self, run: str, cluster: str, node: int, address: str) -> None:
        self._run = run
        self._node = node
        self._machine = Machine()
        self._processes = Processes(cluster)
        self._disks = Disks()
        self._interfaces = Interfaces(address)
        self._group = ControlGroup()
        self._gpus = Gpus()

    def header(self, every: float) -> Header:
        """What holds for the samples to come."""
        return Header(
            node=self._node,
            run=self._run,
            boot=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            network=os.readlink("/proc/self/ns/net"),
            processes=os.readlink("/proc/self/ns/pid"),
            cores=os.cpu_count() or 1,
            period=every,
            wall=time.time(),
            mono_ns=time.monotonic_ns(),
            interfaces=self._interfaces.kinds(),
            states=self.states(),
        )

    def states(self) -> Mapping[str, str]:
        """What cannot be read, with the reason; more may come to light with samples."""
        found = dict(self._gpus.states)
        if self._disks.reason:
            found[readings.DISK] = self._disks.reason
        if self._group.reason:
            found[readings.CGROUP] = self._group.reason
        for group, reason in self._processes.unreadable.items():
            found[f"{readings.GROUP}/{group}/disk"] = reason
        return found

    def sample(self) -> Sample:
        mono_ns, wall = time.monotonic_ns(), time.time()
        found: dict[str, Reading] = {
            readings.HOST: self._machine.read(),
            readings.GROUP: self._processes.read(),
            readings.DISK: self._disks.read(),
            readings.NETWORK: self._interfaces.read(),
            readings.CGROUP: self._group.read(),
            **self._gpus.read(self._processes.group_of),
        }
        found[readings.SAMPLER] = {"": {"cpu_us": time.process_time_ns() // 1000}}
        return Sample(mono_ns, wall, {source: each for source, each in found.items() if each})


def run(sampler: Sampler, path: Path, every: float) -> None:
    """Append samples to a live file until SIGTERM or SIGINT; a header again where states change."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    file = LiveFile(path)
    try:
        told: Mapping[str, str] | None = None
        due = time.monotonic()
        stopped = False
        while True:
            sample = sampler.sample()
            if (states := sampler.states()) != told:
                told = states
                file.header(sampler.header(every))
            file.sample(sample)
            if stopped:
                return
            # Those that were missed, on a machine that stood still, are not made up for.
            due += every * max(1, -(-(time.monotonic() - due) // every))
            stopped = signal.sigtimedwait(_STOP, max(0.0, due - time.monotonic())) is not None
    finally:
        file.close()
