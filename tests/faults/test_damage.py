"""Full disks and damaged files: found, named, mended by the user, and nothing finished is lost."""

from __future__ import annotations

import contextlib
import re

import pytest

from experiments.approaches.base import Trait, find, units
from experiments.approaches.calling import CallingApproach
from experiments.mop.store import ModelStore
from experiments.paths import state
from experiments.specs.topology import SEGMENT, WORKER
from tests.conftest import Disk
from tests.families import OWN
from tests.faults.harness import RUN_SECONDS, FaultyRun, Kill, small_spec


def finished(run: FaultyRun) -> int:
    return sum(event.kind == "unit_finished" for event in run.events())


def ends_as_if_nothing_had_happened(run: FaultyRun, done: int) -> None:
    """The same command goes on after ``done`` finished units."""
    assert finished(run) == done
    run.complete([])
    spec = run.run.spec
    assert finished(run) == 2 * len(spec.configs) * spec.epochs * units(spec)
    run.check()


@pytest.mark.parametrize("approach", OWN)
def test_a_full_disk_during_a_save_is_named(approach: str, disk: Disk) -> None:
    run = FaultyRun.of(small_spec(approach, seed=100))
    disk(state().stores, "8m")  # data on Spark lie there too
    filler = state().stores / "filler"
    with run.command() as process:
        run.wait_for(Kill(WORKER, "unit_finished", 2), process)
        with filler.open("wb", buffering=0) as rest:
            while process.poll() is None:  # a version that goes leaves room for the next
                with contextlib.suppress(OSError):
                    rest.write(bytes(4096))
        said = process.communicate(timeout=RUN_SECONDS)[1]
    run.nothing_is_left()
    assert process.returncode == 2, said
    assert f"error: {state().stores / run.run.name}/" in said
    assert "cannot be saved (No space left on device)" in said
    assert len(said.splitlines()) == 1
    run.gave_up()
    done = finished(run)
    assert done >= 2
    filler.unlink()
    ends_as_if_nothing_had_happened(run, done)


def test_a_full_disk_under_the_journal_is_named(disk: Disk) -> None:
    run = FaultyRun.of(small_spec("cerebro-standalone", seed=101))
    folder = run.run.folder
    disk(folder.root, "28k")
    code, said = run.once()
    assert code == 2, said
    assert f"error: {folder.root}/" in said
    assert len(said.splitlines()) == 1
    run.gave_up()
    done = finished(run)
    assert done
    disk(folder.root, "10m")
    ends_as_if_nothing_had_happened(run, done)


# The states of the others lie in the database, whose pages are not ours to mend.
IN_FILES = [name for name in OWN if not issubclass(find(name), CallingApproach)]


# All find damage by the same code, and a run of most takes half a minute.
DAMAGES = [("cerebro-standalone", "cut short"), *((name, "bit flipped") for name in IN_FILES)]


@pytest.mark.parametrize(("approach", "damage"), DAMAGES)
def test_a_damaged_state_is_named(approach: str, damage: str) -> None:
    run = FaultyRun.of(small_spec(approach, seed=102 if damage == "cut short" else 103))
    whole = Trait.TASK_PARALLEL in find(approach).traits
    least = 1 if whole else 3  # before a model is done, whose state nobody reads
    run.interrupted(units=least)
    last = next(event for event in reversed(run.events()) if event.kind == "unit_finished")
    store = ModelStore(state().stores / run.run.name)
    path = store.path(last.model or 0, last.detail["version"])
    good = path.read_bytes()
    bad = bytearray(good)
    bad[-100] ^= 4
    path.write_bytes(good[:-100] if damage == "cut short" else bytes(bad))
    code, said = run.once()
    assert code == 2, said
    assert f"error: {path}: model state: " in said
    assert "put back a good copy of the file" in said
    run.gave_up()
    done = finished(run)
    assert done >= least
    path.write_bytes(good)
    ends_as_if_nothing_had_happened(run, done)


def test_a_torn_last_line_costs_one_unit() -> None:
    run = FaultyRun.of(small_spec("cerebro-standalone", seed=104))
    run.interrupted(units=5)
    with run.run.folder.journal.open("ab") as journal:
        journal.write(b'{"kind":"unit_finished","run":')
    ends_as_if_nothing_had_happened(run, finished(run))


@pytest.mark.parametrize(
    ("approach", "victim", "needed"),
    [
        ("ctq", SEGMENT, "clusters/{run}/node-1/segment/global/pg_control"),
        ("cerebro-standalone", WORKER, "clusters/{run}/secrets/tls-cert.pem"),
    ],
)
def test_a_server_that_cannot_come_back_is_named(approach: str, victim: str, needed: str) -> None:
    run = FaultyRun.of(small_spec(approach, seed=105))
    with run.command() as process:
        kill = Kill(victim, "unit_finished", 2, choice=1)
        run.wait_for(kill, process)
        (state().root / needed.format(run=run.run.name)).write_text("damaged")
        run.strike(kill, process)
        said = process.communicate(timeout=RUN_SECONDS)[1]
    assert process.returncode == 1
    assert re.search(rf"ServerDied: {victim} on node 1 ended with .*; its log .* ends with\n", said)
    run.nothing_is_left()
