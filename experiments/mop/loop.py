"""The scheduling loop, free of clocks and files: the code that runs is the code simulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from experiments.errors import ReproduceError
from experiments.mop.policy import Policy
from experiments.mop.state import Board, EpochState
from experiments.mop.unit import Unit


def drive(
    board: Board,
    policy: Policy,
    submit: Callable[[Unit], None],
    wait: Callable[[], tuple[Unit, float]],
) -> None:
    """Carry out all pending units of a board.

    After every single completion the policy is asked again until it has nothing to offer.

    Parameters
    ----------
    submit : starts a unit and returns.
    wait : blocks until a running unit is finished and returns it with its seconds; what it raises
        ends the loop.

    Raises
    ------
    ReproduceError
        The policy offers nothing though units are pending and nothing runs.
    InvariantViolation
        The policy offers a unit that may not start now.
    """
    while True:
        while (unit := policy.choose(board)) is not None:
            board.start(unit)
            submit(unit)
        if not board.running:
            break
        board.finish(*wait())
    require_done(board, policy)


def drive_batches(
    board: Board,
    policy: Policy,
    carry_out: Callable[[Sequence[Unit]], Sequence[float]],
) -> None:
    """Carry out all pending units of a board in batches, with a barrier after each.

    A batch is all that the policy has to offer before anything of it is finished.

    Parameters
    ----------
    carry_out : runs the units of a batch at once and returns the seconds that each took.

    Raises
    ------
    ReproduceError
        The policy offers nothing though units are pending.
    InvariantViolation
        The policy offers a unit that may not start now.
    """
    while True:
        batch = []
        while (unit := policy.choose(board)) is not None:
            board.start(unit)
            batch.append(unit)
        if not batch:
            break
        for unit, seconds in zip(batch, carry_out(batch), strict=True):
            board.finish(unit, seconds)
    require_done(board, policy)


def require_done(board: EpochState, policy: Policy) -> None:
    """A :class:`ReproduceError` if anything is pending."""
    if board.pending:
        raise ReproduceError(
            f"policy {policy.name!r} is stuck: nothing runs and it chooses nothing, but "
            f"{len(board.pending)} units are pending, the first {next(iter(board.pending))}"
        )
