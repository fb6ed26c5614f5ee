"""The scheduling loop, free of clocks and files: the code that runs is the code simulated."""

from __future__ import annotations

from collections.abc import Callable

from experiments.errors import ReproduceError
from experiments.mop.policy import Policy
from experiments.mop.state import Board
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
    if board.pending:
        raise ReproduceError(
            f"policy {policy.name!r} is stuck: nothing runs and it chooses nothing, but "
            f"{len(board.pending)} units are pending, the first {next(iter(board.pending))}"
        )
