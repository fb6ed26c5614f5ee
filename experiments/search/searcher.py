"""What every searcher is: asked for assignments and told results; it knows nothing else."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.errors import DataError
from experiments.specs.model import ModelConfig
from experiments.specs.search import SearchSpec


@dataclass(frozen=True)
class Assignment:
    """A model config with its budget: train it from one number of epochs up to another.

    Attributes
    ----------
    model : number of the configuration in the order drawn, from 0; it keeps its number, and its
        state, when it is assigned more epochs later.
    start, stop : epochs that it has been trained for, and is to be trained for in all.
    """

    model: int
    config: ModelConfig
    start: int
    stop: int


@dataclass(frozen=True)
class Result:
    """What came of an assignment: the validation loss of a model after ``epoch`` epochs.

    An assignment that diverged ends early, with a loss that is not finite.
    """

    model: int
    epoch: int
    loss: float


class Searcher(ABC):
    """Base of all searchers; a subclass says only which assignment is next.

    Parameters
    ----------
    spec : space and settings.
    epochs : R, the most that a configuration is trained for.
    seed : of the run; with the same seed and the same results, the same is asked.

    Attributes
    ----------
    asked : every assignment so far, in order.
    told : every result so far, in order.
    under_way : model to its assignment that has no result yet.
    """

    def __init__(self, spec: SearchSpec, epochs: int, seed: int) -> None:
        self.spec = spec
        self.epochs = epochs
        self.seed = seed
        self.asked: list[Assignment] = []
        self.told: list[Result] = []
        self.under_way: dict[int, Assignment] = {}
        self.drawn: list[ModelConfig] = []

    def ask(self, count: int) -> list[Assignment]:
        """The next assignments, at most so many.

        Fewer, or none, while results are wanted first; none for ever once the search is over, which
        is when there is nothing under way either.
        """
        fresh: list[Assignment] = []
        while len(fresh) < count and (assignment := self.next()) is not None:
            self.remember(assignment)
            fresh.append(assignment)
        return fresh

    def tell(self, result: Result) -> None:
        """Take in what came of an assignment.

        Raises
        ------
        DataError
            The model has no assignment under way.
        """
        if self.under_way.pop(result.model, None) is None:
            raise DataError(f"a result of model {result.model}, which was not asked for")
        self.told.append(result)

    def remember(self, assignment: Assignment) -> None:
        """Take in an assignment that was asked for earlier, as a journal has it."""
        if assignment.model == len(self.drawn):
            self.drawn.append(assignment.config)
        self.asked.append(assignment)
        self.under_way[assignment.model] = assignment

    @property
    def most(self) -> int:
        """How many configurations are drawn at most."""
        return self.spec.trials

    def warm(self) -> None:  # noqa: B027 - most have nothing to do
        """Import what takes long; called in another thread before the first question."""

    @abstractmethod
    def next(self) -> Assignment | None:
        """The next assignment, from ``asked`` and ``told`` alone; None while there is none."""

    def between_batches(self) -> bool:
        """Whether a new configuration may be drawn now, if they are drawn in batches."""
        batch = self.spec.concurrency if self.spec.batches else 1
        return len(self.asked) % batch != 0 or not self.under_way or batch == 1


def ranked(losses: dict[int, float], keep: int) -> Sequence[int]:
    """The models with the lowest losses, best first; none that diverged is among them."""
    finite = {model: loss for model, loss in losses.items() if math.isfinite(loss)}
    return sorted(finite, key=lambda model: (finite[model], model))[:keep]
