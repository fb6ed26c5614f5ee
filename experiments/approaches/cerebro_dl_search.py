"""A search of cerebro-dl's that is told what to train: the run's own search, on the package.

The package's searches give every model the same number of epochs and know nothing of other runs.
For the comparison all approaches get the same sequence, so the driver asks, a *round* at a time, a
line of JSON on standard input: ``models``, each of which is trained for one epoch and evaluated,
with its ``number`` and its ``job``. A round without models is the end. Runs in the package's own
environment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from cerebro.tune.base import ModelSelection, ModelSelectionResult, update_model_results

Works = MutableMapping[int, Mapping[str, Any]]


class AskedSearch(ModelSelection):  # type: ignore[misc, unused-ignore]
    """Trains what it is asked; made like every search of the package.

    Parameters
    ----------
    estimator : makes the package's estimator of ``{"model": number}``.
    works : gets the job of every model before its estimator is made.
    """

    def __init__(
        self,
        backend: Any,
        store: Any,
        estimator: Callable[[Mapping[str, int]], Any],
        works: Works,
        *,
        label_columns: Sequence[str],
        feature_columns: Sequence[str],
    ) -> None:
        super().__init__(backend, store, None, estimator, "loss", label_columns, feature_columns, 0)
        self._works = works

    def _fit_on_prepared_data(self, metadata: Any) -> Any:
        estimators: dict[int, Any] = {}
        results: dict[str, dict[str, Any]] = {}
        for asked in _rounds():
            for each in asked:
                if each["number"] not in estimators:
                    self._works[each["number"]] = each["job"]
                    made = self._estimator_gen_fn_wrapper({"model": each["number"]})
                    estimators[each["number"]] = made
                    results[made.getRunId()] = {}
            together = [estimators[each["number"]] for each in asked]
            for is_train in (True, False):
                found = self.backend.train_for_one_epoch(
                    together, self.store, self.feature_cols, self.label_cols, is_train=is_train
                )
                update_model_results(results, found)
        trained = [
            each.create_model(results[each.getRunId()], each.getRunId(), metadata)
            for each in estimators.values()
        ]
        return ModelSelectionResult(None, results, trained, [])


def _rounds() -> Iterator[Sequence[Mapping[str, Any]]]:
    while models := json.loads(sys.stdin.readline())["models"]:
        yield models
