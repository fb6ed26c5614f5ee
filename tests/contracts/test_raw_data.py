"""Images from raw archives are trained on from files and in the database.

Rows of click logs from raw archives are trained on by every approach (``test_every_approach.py``).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.model import DatasetSpec, ModelConfig
from experiments.telemetry.journal import read
from tests.contracts.conftest import Finished, contract_spec


@pytest.mark.parametrize("approach", ["cerebro-standalone", "ctq"])
def test_images_are_learnt_from_their_archives(approach: str) -> None:
    spec = replace(
        contract_spec(approach),
        dataset=DatasetSpec("imagenet-generated", train_rows=600, valid_rows=200),
        configs=(ModelConfig("linear", 1e-3, 0.0, 16),),
    )
    run = planned(spec)
    execute(run, lambda _: None)
    done = Finished(run, tuple(read(run.folder.journal)))
    mark, whole = done.marks()[2, 0], done.evaluated_at_once(0)
    assert mark["loss"] == pytest.approx(whole.loss_sum / whole.rows, rel=1e-5)
    assert mark["top1_error"] < 0.7  # of ten classes
