"""Batches with a barrier: the same units, never two of a model or a worker at a time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.errors import ReproduceError
from experiments.mop.loop import drive_batches
from experiments.mop.policy import make_policy
from experiments.mop.state import Board, EpochState
from experiments.mop.unit import Unit
from experiments.mop.visits import Visit

sizes = st.integers(1, 7)


def batches(
    name: str, models: int, workers: int, visits: Sequence[Visit] | None = None
) -> list[list[Unit]]:
    policy = make_policy(name, 2018, visits)
    board = Board(1, models, workers, policy.arrange(1, models, workers))
    done: list[list[Unit]] = []

    def carry_out(units: Sequence[Unit]) -> list[float]:
        done.append(list(units))
        return [1.0 + unit.model for unit in units]

    drive_batches(board, policy, carry_out)
    return done


@pytest.mark.parametrize("name", ["round_robin", "longest_first", "random"])
@given(models=sizes, workers=sizes)
def test_every_pair_comes_once_and_no_batch_has_a_model_or_a_worker_twice(
    name: str, models: int, workers: int
) -> None:
    done = batches(name, models, workers)
    units = [unit for batch in done for unit in batch]
    assert sorted(units) == [Unit(m, w, 1) for m in range(models) for w in range(workers)]
    for batch in done:
        assert len({unit.model for unit in batch}) == len({u.worker for u in batch}) == len(batch)


@given(models=sizes, workers=sizes)
def test_round_robin_needs_as_many_batches_as_the_longer_side(models: int, workers: int) -> None:
    done = batches("round_robin", models, workers)
    assert len(done) == max(models, workers)
    assert {len(batch) for batch in done} == {min(models, workers)}


@given(models=sizes, workers=sizes)
def test_a_replay_in_batches_keeps_every_model_s_order(models: int, workers: int) -> None:
    order = [unit for batch in batches("random", models, workers) for unit in batch]
    visits = [Visit(1, unit.model, unit.partition) for unit in order]
    again = [unit for batch in batches("replay", models, workers, visits) for unit in batch]
    for model in range(models):
        assert [u for u in again if u.model == model] == [u for u in order if u.model == model]


def test_a_policy_that_offers_nothing_is_an_error() -> None:
    class Idle:
        name = "idle"

        def arrange(self, epoch: int, models: int, workers: int) -> Sequence[Unit]:
            return [Unit(m, w, epoch) for m in range(models) for w in range(workers)]

        def choose(self, state: EpochState) -> Unit | None:
            return None

    board = Board(1, 1, 1, Idle().arrange(1, 1, 1))
    with pytest.raises(ReproduceError, match="stuck"):
        drive_batches(board, Idle(), lambda units: [1.0 for _ in units])
