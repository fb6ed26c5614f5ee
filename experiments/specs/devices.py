"""The device table: what ``devices.toml`` and this machine's own pilot say of each device.

Devices scaled from another one's rows are worked out here; everything ends as the
:class:`~experiments.specs.emulation.EmulationSpec` of a run.
"""

from __future__ import annotations

import functools
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.errors import DataError, SpecError
from experiments.paths import SPECS, state
from experiments.specs.emulation import ADAM_BYTES, EmulatedModel, EmulationSpec

THIS = "this"
"""This machine, as ``--pilot`` measured it."""

LEAST_UNIT_SECONDS = 0.005
"""A unit that is to take less cannot: the quickest approach spends 6 ms of dispatching and saving
beside the device (measured)."""

LEAST_FLOATS = 64
"""A state has its chain and something to change."""


@dataclass(frozen=True)
class Row:
    """One architecture on one device; fields as in ``devices.toml``, transfer in seconds."""

    weights: int
    trainable: int
    train_row: float
    train_batch: float
    valid_row: float
    valid_batch: float
    start: float
    transfer: float
    fixed_bytes: int
    row_bytes: float
    source: str


@dataclass(frozen=True)
class Device:
    """A device and the architectures that its times are known for."""

    name: str
    title: str
    memory_bytes: int
    network_bytes_per_second: float
    rows: Mapping[str, Row]


def names() -> tuple[str, ...]:
    """Every device, those of the table first."""
    return (*(name for name in _table() if name != "architectures"), THIS)


def device(name: str, dataset: str = "") -> Device:
    """A device by its name.

    Parameters
    ----------
    dataset : what :data:`THIS` was measured with; the table's rows are of the paper's own.

    Raises
    ------
    SpecError
        No such device (the message names the nearest), or :data:`THIS` was not measured yet.
    """
    from experiments.specs.load import nearest

    if name == THIS:
        return _this(dataset)
    if name not in names():
        raise nearest("device", name, names())
    table = _table()[name]
    return Device(
        name,
        table["title"],
        table["memory_bytes"],
        table["network_bytes_per_second"],
        {key: _row(key, table, *found) for key, found in _models(name).items()},
    )


def emulation(
    name: str,
    batches: Mapping[str, int],
    *,
    dataset: str,
    speedup: float = 1.0,
    state_fraction: float = 1.0,
) -> EmulationSpec:
    """What a run on an emulated device has to know.

    Parameters
    ----------
    batches : the run's architectures, and the largest batch of each.

    Raises
    ------
    SpecError
        An unknown device, an architecture that it lacks or has no memory for, or a number that is
        not positive.
    """
    for what, value in (("--speedup", speedup), ("state_fraction", state_fraction)):
        if not (math.isfinite(value) and value > 0):
            raise SpecError(f"{what} {value:g}: must be positive and finite")
    if state_fraction > 1:
        raise SpecError(f"state_fraction {state_fraction:g}: at most 1, the true size")
    found = device(name, dataset)
    models = {}
    for architecture, batch in batches.items():
        row = found.rows.get(architecture)
        if row is None:
            raise _lacking(found, architecture, dataset)
        models[architecture] = _emulated(found, row, speedup, state_fraction)
        occupied = models[architecture].occupied_bytes(batch)
        if occupied > found.memory_bytes:
            raise SpecError(
                f"{architecture} with batches of {batch} takes {occupied / 2**30:.1f} GiB and "
                f"device {name} has {found.memory_bytes / 2**30:.1f} GiB: use smaller batches, or "
                "another --device"
            )
    return EmulationSpec(name, speedup, state_fraction, models)


def check_pace(emulated: EmulationSpec, batch: Mapping[str, int], rows: int) -> None:
    """Refuse a time scale that nothing could hold.

    Parameters
    ----------
    batch : by architecture, the largest, since its units are the shortest.
    rows : of the smallest partition.

    Raises
    ------
    SpecError
        A unit of training would be shorter than :data:`LEAST_UNIT_SECONDS`.
    """
    modelled, name = min(
        (emulated.models[name].unit_seconds("train", rows, size), name)
        for name, size in batch.items()
    )
    if modelled / emulated.speedup < LEAST_UNIT_SECONDS:
        most = modelled / LEAST_UNIT_SECONDS
        raise SpecError(
            f"--speedup {emulated.speedup:g} cannot be held: a unit of {name} on {rows} rows would "
            f"take {1000 * modelled / emulated.speedup:.2g} ms, and none takes less than "
            f"{1000 * LEAST_UNIT_SECONDS:g} ms; use {most:.3g} or less, or more rows a worker"
        )


@functools.cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads((SPECS / "devices.toml").read_text(encoding="utf-8"))


def _models(name: str) -> Mapping[str, tuple[Mapping[str, Any], float]]:
    """A device's rows, and what their row parts are multiplied by."""
    table = _table()[name]
    origin = _table().get(table.get("scaled_from", ""))
    if origin is None:
        return {key: (row, 1.0) for key, row in table["models"].items()}
    factor = max(origin[what] / table[what] for what in ("peak_flops", "memory_bandwidth"))
    rows = {key: row for key, row in origin["models"].items() if row["on"] == "gpu"}
    return {key: ({**row, "from": "scaled"}, factor) for key, row in rows.items()}


def _row(key: str, table: Mapping[str, Any], row: Mapping[str, Any], factor: float) -> Row:
    size = _table()["architectures"][key]
    train_row, train_batch = factor * row["train_row"], row["train_batch"]
    state_bytes = 4 * (size["weights"] + 2 * size["trainable"])
    on_host = row["on"] == "cpu"
    return Row(
        weights=size["weights"],
        trainable=size["trainable"],
        train_row=train_row,
        train_batch=train_batch,
        valid_row=row["valid"] * train_row,
        valid_batch=row["valid"] * train_batch,
        start=row["start"],
        transfer=0.0 if on_host else state_bytes / table["host_bytes_per_second"],
        fixed_bytes=ADAM_BYTES * size["weights"],
        row_bytes=row["row_bytes"],
        source=row["from"],
    )


def _this(dataset: str) -> Device:
    path = state().pilot
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = {key: Row(**row) for key, row in found["models"].get(dataset, {}).items()}
        return Device(
            THIS,
            str(found["title"]),
            int(found["memory_bytes"]),
            float(found["network_bytes_per_second"]),
            rows,
        )
    except FileNotFoundError:
        raise SpecError(
            "device 'this' has not been measured: give the same command with --pilot first"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: cannot be used ({error!r}); remove it and measure again with --pilot"
        ) from None


def _lacking(found: Device, architecture: str, dataset: str) -> SpecError:
    if found.name == THIS:
        return SpecError(
            f"device 'this' was not measured with {architecture} on {dataset}: give the same "
            "command with --pilot first"
        )
    have = ", ".join(found.rows)
    return SpecError(
        f"device {found.name!r} lacks {architecture}: it has {have}; choose another --device, or "
        "add a row to experiments/specs/devices.toml"
    )


def _emulated(found: Device, row: Row, speedup: float, state_fraction: float) -> EmulatedModel:
    return EmulatedModel(
        device=found.name,
        weights=max(LEAST_FLOATS, round(state_fraction * row.weights)),
        moments=2 * max(LEAST_FLOATS, round(state_fraction * row.trainable)),
        start_seconds=row.start,
        transfer_seconds=row.transfer,
        train_row_seconds=row.train_row,
        train_batch_seconds=row.train_batch,
        valid_row_seconds=row.valid_row,
        valid_batch_seconds=row.valid_batch,
        gradient_bytes=4 * row.trainable,
        network_bytes_per_second=found.network_bytes_per_second,
        fixed_bytes=row.fixed_bytes,
        row_bytes=row.row_bytes,
        speedup=speedup,
    )
