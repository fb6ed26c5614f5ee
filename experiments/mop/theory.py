"""What the papers derive about schedules and traffic, as formulas.

A workload of two kinds of models: a unit of a *fast* one takes ``fast`` seconds, with probability
``share``, and of a *slow* one ``slow`` (Cerebro-DS §4.1, Table 4 and Appendix B).
"""

from __future__ import annotations

import math

from experiments.errors import SpecError


def synchronous_makespan(
    models: int, workers: int, share: float, fast: float, slow: float
) -> float:
    """Expected seconds of an epoch with a barrier after each sub-epoch (Equation 1).

    Each of ``models`` sub-epochs lasts as long as the slowest of ``workers`` units drawn at random.
    """
    _require(models, workers, share, fast, slow)
    all_fast = share**workers
    return models * (all_fast * fast + (1 - all_fast) * slow)


def asynchronous_makespan(models: int, mean: float) -> float:
    """Seconds of an epoch without barriers, every worker always busy (Equation 2; M >> W).

    Parameters
    ----------
    mean : seconds of a unit, over all models.
    """
    return models * mean


def speed_up(
    workers: int, share: float, fast: float, slow: float, mean: float | None = None
) -> float:
    """How many times faster asynchronous MOP is than synchronous (Proposition 1).

    Parameters
    ----------
    mean : seconds of a unit; by default the expected ``share * fast + (1 - share) * slow``. The
        paper's theory lines take the mean of the workload that was drawn, but ``share`` as it was
        asked for, which is why they start below 1.
    """
    expected = share * fast + (1 - share) * slow if mean is None else mean
    synchronous = synchronous_makespan(1, workers, share, fast, slow)
    return synchronous / asynchronous_makespan(1, expected)


def speed_up_bound(slow: float, mean: float) -> float:
    """The speed-up that many workers approach from below, eta (Proposition 2)."""
    return slow / mean


def bytes_moved(
    *, epochs: int, models: int, workers: int, state: float, data: float, batches: int
) -> dict[str, float]:
    """Network traffic of model selection (Cerebro, PVLDB 13(11), Table 2 as its errata correct it).

    Parameters
    ----------
    state, data : bytes of one model's state and of the whole data set.
    batches : of one model in an epoch, the data set over the batch size.

    Returns
    -------
    Bytes by way of training: ``mop``, ``task_parallel_replicated``, ``task_parallel_remote``,
    ``model_averaging``, ``parameter_server`` and ``all_reduce``.
    """
    if min(epochs, models, workers, batches) < 1 or min(state, data) < 0:
        raise SpecError("traffic is of at least one epoch, model, worker and batch")
    steps = math.ceil(batches / workers)
    once = state * models
    return {
        "mop": epochs * state * workers * models + once,
        "task_parallel_replicated": workers * data + once,
        "task_parallel_remote": epochs * models * data + once,
        "model_averaging": 2 * epochs * state * workers * models,
        "parameter_server": 2 * epochs * state * workers * models * steps,
        "all_reduce": 2 * epochs * state * (workers - 1) * models * steps,
    }


def _require(models: int, workers: int, share: float, fast: float, slow: float) -> None:
    if models < 1 or workers < 1:
        raise SpecError(f"a workload has models and workers, not {models} and {workers}")
    if not 0 <= share <= 1:
        raise SpecError(f"a share of fast models lies in 0..1, not {share}")
    if not 0 < fast <= slow:
        raise SpecError(f"units take time, slow ones at least as much: fast {fast}, slow {slow}")
