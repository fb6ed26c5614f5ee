"""Two processes that train one model in step, each on rows of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHILD = """
import sys
from pathlib import Path
import numpy as np
from experiments.models import codec
from experiments.models.process_group import Group, joined
from experiments.models.steps import make_step
rank = int(sys.argv[2])
step = make_step("ddp", "mlp-tiny", (8, 8, 1), 10)
step.set_state(codec.decode(codec.encode(step.initial_weights(7), [], 0, step.layout)))
step.configure(1e-2, 1e-3)
draw = np.random.default_rng(rank)
group = Group("one", Path(sys.argv[1]), rank, 2, "127.0.0.1")
with joined(group), step.together(group, 16) as traffic:
    for _ in range(int(sys.argv[3])):
        x = draw.random((8, 8, 8, 1), dtype=np.float32)
        y = np.eye(10, dtype=np.int16)[draw.integers(10, size=8)]
        step.train_batch(x, y)
        print(float(x.sum()), step.digest(), traffic.steps, traffic.bytes)
"""

STEPS = 8


def test_ranks_see_other_rows_and_hold_equal_weights_after_every_step(tmp_path: Path) -> None:
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), str(rank), str(STEPS)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    first, second = (
        [line.split() for line in rank.communicate()[0].splitlines()] for rank in ranks
    )
    assert len(first) == len(second) == STEPS
    rows, others = [line[0] for line in first], [line[0] for line in second]
    assert not {*rows} & {*others}
    weights = [line[1] for line in first]
    assert weights == [line[1] for line in second]
    assert len({*weights}) == STEPS
    sent = [(int(line[2]), int(line[3])) for line in first]
    assert sent == [(number, number * sent[0][1]) for number in range(1, STEPS + 1)]
