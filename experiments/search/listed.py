"""Searchers that do not listen to results: all points of a grid, and points at random."""

from __future__ import annotations

import random

from experiments.search import space
from experiments.search.searcher import Assignment, Searcher
from experiments.specs.model import ModelConfig, derive_seed
from experiments.specs.search import SearchSpec


class RandomSearcher(Searcher):
    """Points at random (Bergstra and Bengio, JMLR 13, 2012); number i depends on i and the seed."""

    def next(self) -> Assignment | None:
        model = len(self.drawn)
        if model == self.most or not self.between_batches():
            return None
        return Assignment(model, self.point(model), 0, self.epochs)

    def point(self, model: int) -> ModelConfig:
        """The configuration of a number."""
        return space.draw(self.spec.space, random.Random(derive_seed(self.seed, "trial", model)))


class GridSearcher(RandomSearcher):
    """All points of a space of choices, in its own order, or as many of them as ``trials``."""

    def __init__(self, spec: SearchSpec, epochs: int, seed: int) -> None:
        super().__init__(spec, epochs, seed)
        self._points = space.points(spec.space)

    @property
    def most(self) -> int:
        return min(self.spec.trials, len(self._points))

    def point(self, model: int) -> ModelConfig:
        return self._points[model]
