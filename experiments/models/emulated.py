"""The training step of an emulated accelerator: a state of the true size, and a clock.

A batch is really fetched and changes the state; then the step waits until the device would be
done. Nothing is learned: logits are all equal, so every loss is that of a guess. While it waits it
uses no CPU, and neither TensorFlow nor torch is imported, so eight workers on two cores are eight
devices.

Order, completeness and hopping can be checked: a checksum of each batch, chained over all batches
and the seeds of all units, is kept in the state's first floats, and each batch changes at most
64 KB at a place that the chain gives. So two orders leave two states, a batch too few another one,
and a replay in one process the same.

The code keeps to Python 3.9: Greenplum's PL/Python is that old.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from experiments.models import gathering
from experiments.models.batching import Rows
from experiments.models.codec import Floats, State
from experiments.models.process_group import Group, Traffic
from experiments.models.steps import Totals
from experiments.specs.emulation import EmulatedModel

WINDOW = 2**14
"""Floats that a batch changes at most: 64 KB."""

CHAIN = 4
"""Floats at the start of the weights that hold the chain, a byte each."""

PIECES, PIECE = 8, 512
"""What is read of a batch to tell it from others: so many pieces of so many bytes, evenly over it.
Reading all of a large batch would take longer than a device's step at a high speed-up."""

AHEAD_SECONDS = 1e-3
"""A device is waited for when it is further behind than this: shorter sleeps cost more than they
last."""

SLICE_SECONDS = 0.1
"""The longest sleep: a cancellation is looked for in between."""


class Pace:
    """Waits until modelled time has passed, shortened by a factor.

    Everything is measured from when a pass began, so that sleeping too long, or a late batch, is
    made up for by the next sleep and does not add up: the device's input is fetched ahead.

    Parameters
    ----------
    speedup : modelled seconds per second that is waited.
    check : called between sleeps; what it raises ends the wait.
    clock, sleep : of this machine.
    """

    def __init__(
        self,
        speedup: float,
        check: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._speedup = speedup
        self._check = check
        self._clock = clock
        self._sleep = sleep
        self._due = clock()
        self.begin()

    def begin(self) -> None:
        """Count anew: another unit."""
        self.modelled = self.waited = self.late = 0.0
        self.resume()

    def resume(self) -> None:
        """The device was idle until now."""
        self._due = max(self._due, self._clock())

    def spend(self, seconds: float) -> None:
        """The device is busy for so many modelled seconds more."""
        self.modelled += seconds
        self._due += seconds / self._speedup
        if self._due - self._clock() > AHEAD_SECONDS:
            self._wait()

    def finish(self) -> None:
        """Wait until the device is idle."""
        self._wait()
        self.late += self._clock() - self._due
        self.resume()

    def counters(self) -> dict[str, float]:
        """Since :meth:`begin`: seconds modelled, seconds really slept, and seconds that this took
        longer than it should, which is what the machine could not keep up with."""
        return {
            "modelled_seconds": self.modelled,
            "waited_seconds": self.waited,
            "late_seconds": self.late,
        }

    def _wait(self) -> None:
        before = self._clock()
        while before < self._due:
            self._sleep(min(self._due - before, SLICE_SECONDS))
            now = self._clock()
            self.waited += now - before
            before = now
            self._check()


class EmulatedStep:
    """See :class:`experiments.models.steps.Step`. Making one takes as long as building the model.

    Parameters
    ----------
    classes : number of logits.
    check : called while it waits; what it raises ends the wait.
    """

    def __init__(
        self,
        architecture: str,
        classes: int,
        model: EmulatedModel,
        check: Callable[[], None],
        pace: Pace | None = None,
    ) -> None:
        self.traces = 0
        self.pace = pace or Pace(model.speedup, check)
        text = f"emulated {architecture} {model.weights} {model.moments}"
        self.layout = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        self._check = check
        self._classes = classes
        self._model = model
        self._state = np.zeros(model.weights + model.moments, np.float32)
        self._chain = 0
        self._step = 0
        self._group: Group | None = None
        self._own = 0
        self._traffic = Traffic()
        self._together_seconds = 0.0
        self.reset_totals()
        self.pace.spend(model.start_seconds)
        self.pace.finish()

    def initial_weights(self, seed: int) -> list[Floats]:
        weights = np.random.default_rng([seed, 0]).random(self._model.weights, np.float32)
        weights[:CHAIN] = _digits(zlib.crc32(f"seed {seed}".encode()))
        return [weights]

    def configure(self, learning_rate: float, regularization: float) -> None:
        """Nothing here is learned."""

    def set_state(self, state: State) -> None:
        count = self._model.weights
        self._state[:count] = state.weights
        self._state[count:] = state.optimizer if state.optimizer.size else 0.0
        self._chain = _chain(self._state[:CHAIN])
        self._step = state.step
        self.pace.spend(self._model.transfer_seconds)

    def get_state(self) -> tuple[list[Floats], list[Floats], int]:
        count = self._model.weights
        self._state[:CHAIN] = _digits(self._chain)
        self.pace.spend(self._model.transfer_seconds)
        return [self._state[:count]], [self._state[count:]], self._step

    def reseed(self, seed: int) -> None:
        text = f"unit {seed}".encode()
        if self._group is None:
            self._chain = zlib.crc32(text, self._chain)
        else:  # seeds are each rank's own
            self._own = zlib.crc32(text, self._own)

    def train_batch(self, x: Rows, y: Rows) -> None:
        self._rows += len(x)
        self._correct += int(np.count_nonzero(y[:, 0]))  # the first of equal logits
        self._step += 1
        if self._group is None:
            self._chain = _digest(y, _digest(x, self._chain))
            self._change()
            self.pace.spend(self._model.batch_seconds("train", len(x)))
        else:
            self._own = _digest(y, _digest(x, self._own))
            self._chain = zlib.crc32(b"step", self._chain)
            self._change()
            self._traffic.steps += 1
            self._traffic.bytes += self._model.gradient_bytes
            self.pace.spend(self._together_seconds)

    def predict(self, x: Rows) -> Floats:
        """Logits that are all equal."""
        self.pace.spend(self._model.batch_seconds("valid", len(x)))
        return np.zeros((len(x), self._classes), np.float32)

    def reset_totals(self) -> None:
        self._rows = 0
        self._correct = 0

    def totals(self) -> Totals:
        """A guess among the classes costs the logarithm of their number."""
        return Totals(self._rows * float(np.log(self._classes)), self._correct)

    @contextlib.contextmanager
    def together(self, group: Group, batch: int) -> Iterator[Traffic]:
        """Train in step with all other ranks of the group, which this makes.

        No gradient is exchanged: a step takes as long as the slowest rank's, or the bytes of the
        ring. What is exchanged, at the end, are the ranks' checksums of their own batches, so that
        all end with one state that depends on every rank's every batch.

        Parameters
        ----------
        batch : rows of all ranks in one step.

        Raises
        ------
        ServerDied
            Another rank did not come, or did not end with this one.
        """
        gathering.gather(group, gathering.READY, "", self._check)
        self._group, self._own, self._traffic = group, 0, Traffic()
        most = -(-batch // group.size)
        self._together_seconds = self._model.together_seconds(most, group.size)
        self.pace.resume()
        try:
            yield self._traffic
            own = gathering.gather(group, "done", f"{self._own:08x}", self._check)
            self._chain = zlib.crc32(" ".join(own).encode(), self._chain)
            self._change()
        finally:
            self._group = None

    def digest(self) -> int:
        """48 bits over the state, which must be equal on all ranks."""
        self._state[:CHAIN] = _digits(self._chain)
        return int.from_bytes(hashlib.blake2b(self._state.data, digest_size=6).digest(), "big")

    def _change(self) -> None:
        """What a batch leaves in the state; values stay between -1 and 1."""
        size = min(WINDOW, len(self._state) - CHAIN)
        start = CHAIN + self._chain % (len(self._state) - CHAIN - size + 1)
        window = self._state[start : start + size]
        window *= np.float32(0.5)
        window += np.float32((self._chain & 0xFFFF) / 2**16 - 0.5)


def _digits(chain: int) -> Floats:
    """A chain as floats that hold it exactly."""
    return np.frombuffer(chain.to_bytes(CHAIN, "little"), np.uint8).astype(np.float32)


def _chain(floats: Floats) -> int:
    """What :func:`_digits` was given; of an average, another that follows from its floats."""
    digits = floats.astype(np.uint8)
    if np.array_equal(digits, floats):
        return int.from_bytes(digits.tobytes(), "little")
    return zlib.crc32(floats.tobytes())


def _digest(rows: Rows, chain: int) -> int:
    """The chain after some rows of a batch."""
    data = np.ascontiguousarray(rows).data.cast("B")
    if len(data) <= PIECES * PIECE:
        return zlib.crc32(data, chain)
    for piece in range(PIECES):
        start = piece * (len(data) - PIECE) // (PIECES - 1)
        chain = zlib.crc32(data[start : start + PIECE], chain)
    return chain
