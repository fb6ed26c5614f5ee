"""The tree-structured Parzen estimator (Bergstra et al., NIPS 2011), by hyperopt's own code.

The paper's Figure 12 is a search by it, in batches (Section 5.2.4): a batch is asked for once all
results of the one before are known.
"""

from __future__ import annotations

import functools
import importlib
import math
from typing import Any

from experiments.search import space
from experiments.search.searcher import Assignment, Searcher
from experiments.specs.model import ModelConfig, derive_seed
from experiments.specs.search import Axis


class TpeSearcher(Searcher):
    """``hyperopt.tpe.suggest``, one configuration a call, fed with what is known by then.

    The order in which results of one batch come does not matter. What is under way counts as not
    good, as hyperopt has it, and what diverged as failed.
    """

    def warm(self) -> None:
        importlib.import_module("hyperopt")

    def next(self) -> Assignment | None:
        model = len(self.drawn)
        if model == self.most or not self.between_batches():
            return None
        return Assignment(model, self._suggest(model), 0, self.epochs)

    def _suggest(self, model: int) -> ModelConfig:
        from hyperopt import tpe

        trials = self._trials()
        (trial,) = tpe.suggest(
            [model],
            self._domain,
            trials,
            derive_seed(self.seed, "tpe", model),
            n_startup_jobs=self.spec.startup,
            verbose=False,
        )
        chosen = {name: found[0] for name, found in trial["misc"]["vals"].items()}
        return space.config_of({a.name: _value(a, chosen[a.name]) for a in self.spec.space})

    @functools.cached_property
    def _domain(self) -> Any:
        from hyperopt.base import Domain

        return Domain(None, {axis.name: _expression(axis) for axis in self.spec.space})

    def _trials(self) -> Any:
        from hyperopt import STATUS_FAIL, STATUS_NEW, STATUS_OK, Trials
        from hyperopt.base import JOB_STATE_DONE, JOB_STATE_NEW

        losses = {result.model: result.loss for result in self.told}
        trials = Trials()
        for model, config in enumerate(self.drawn):
            loss = losses.get(model)
            if loss is None:
                result: dict[str, Any] = {"status": STATUS_NEW}
            elif math.isfinite(loss):
                result = {"status": STATUS_OK, "loss": loss}
            else:
                result = {"status": STATUS_FAIL}
            misc = {
                "tid": model,
                "cmd": None,
                "workdir": None,
                "idxs": {axis.name: [model] for axis in self.spec.space},
                "vals": {axis.name: [_found(axis, config)] for axis in self.spec.space},
            }
            (document,) = trials.new_trial_docs([model], [None], [result], [misc])
            document["state"] = JOB_STATE_NEW if loss is None else JOB_STATE_DONE
            trials.insert_trial_doc(document)
        trials.refresh()
        return trials


def _expression(axis: Axis) -> Any:
    from hyperopt import hp

    if axis.kind == "choice":
        return hp.choice(axis.name, list(axis.values))
    low, high = (float(value) for value in axis.values)
    if axis.kind == "loguniform":
        return hp.loguniform(axis.name, math.log(low), math.log(high))
    return (hp.uniformint if axis.kind == "integers" else hp.uniform)(axis.name, low, high)


def _value(axis: Axis, found: Any) -> Any:
    """hyperopt's number as a value of the axis; of a choice it is the place."""
    if axis.kind == "choice":
        return axis.values[int(found)]
    low, high = axis.values
    return min(max(float(found), float(low)), float(high))


def _found(axis: Axis, config: ModelConfig) -> float:
    value = getattr(config, axis.name)
    return axis.values.index(value) if axis.kind == "choice" else float(value)
