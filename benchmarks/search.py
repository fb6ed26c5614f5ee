"""TPE against ASHA on one workload, and what a search adds to the time of a run.

Both search the same space on Cerebro-Standalone with real workers: same data, same seed, same most
epochs. *Unit time* is what all workers together spent training and evaluating. The question is how
much of it ASHA needs until a configuration is as good as the best that TPE finds in all of its own.

    python3 reproduce.py --benchmark search
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

from experiments.analysis.searches import elapsed
from experiments.runner.execute import execute
from experiments.runner.plan import planned
from experiments.specs.load import protocols
from experiments.specs.model import DatasetSpec, RunSpec
from experiments.specs.search import Axis, SearchSpec
from experiments.telemetry.journal import Event, read

APPROACH = "cerebro-standalone"
SPACE = (
    Axis("architecture", "choice", ("mlp-tiny",)),
    Axis("learning_rate", "loguniform", (1e-5, 1e-1)),
    Axis("regularization", "choice", (1e-4, 1e-6)),
    Axis("batch_size", "integers", (16, 256)),
)


@dataclass(frozen=True)
class Progress:
    """After an evaluation: unit seconds of the run until then, and the lowest error so far."""

    unit_seconds: float
    error: float


def spec_of(algorithm: str, trials: int, epochs: int, rows: int, seed: int) -> RunSpec:
    """A search of two workers, eight configurations at once."""
    search = SearchSpec(algorithm, trials, 8, True, 20, 3, 1, SPACE)
    return RunSpec(
        experiment=f"benchmark-{algorithm}",
        approach=APPROACH,
        scale="smoke",
        protocol=protocols()["own-feedback"],
        workers=2,
        seed=seed,
        epochs=epochs,
        policy="random",
        dataset=DatasetSpec("fashion-mnist", train_rows=rows, valid_rows=2 * rows),
        configs=(),
        search=search,
    )


def carry_out(spec: RunSpec) -> list[Event]:
    """The journal of a new run."""
    run = planned(spec, fresh=True)
    execute(run, lambda _: None)
    return list(read(run.folder.journal))


def progress(events: Sequence[Event]) -> list[Progress]:
    """How the search went on, by its evaluations."""
    spent, best = 0.0, math.inf
    found = []
    for event in events:
        if event.kind == "span" and event.phase in {"train", "valid"}:
            spent += event.seconds
        elif event.kind == "evaluated":
            if math.isfinite(float(event.detail["loss"])):
                best = min(best, float(event.detail["top1_error"]))
            found.append(Progress(spent, best))
    return found


def share(events: Sequence[Event]) -> float:
    """The search's own seconds by those from the first epoch to the last evaluation."""
    own = sum(float(e.detail["seconds"]) for e in events if e.kind in {"asked", "told"})
    return own / max(seconds for event, seconds in elapsed(events) if event.kind == "evaluated")


def main() -> None:
    """Print unit times, errors and ratios per seed."""
    parser = argparse.ArgumentParser(prog="search", description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=32, help="of TPE, as in the paper")
    parser.add_argument("--asha-trials", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for seed in range(1, options.seeds + 1):
        size = (options.epochs, options.rows, seed)
        tpe = carry_out(spec_of("tpe", options.trials, *size))
        asha = carry_out(spec_of("asha", options.asha_trials, *size))
        for name, events in (("TPE", tpe), ("ASHA", asha)):
            whole = progress(events)
            print(
                f"seed {seed} {name:5} {len(whole):4} epochs of a configuration, "
                f"{whole[-1].unit_seconds:6.1f} s unit time, best error {whole[-1].error:.4f}, "
                f"the search's own time {100 * share(events):.2f} %"
            )
        goal = progress(tpe)[-1]
        reached = next((at for at in progress(asha) if at.error <= goal.error), None)
        if reached is None:
            print(f"seed {seed} ASHA does not reach TPE's best error")
        else:
            ratio = reached.unit_seconds / goal.unit_seconds
            print(
                f"seed {seed} ASHA reaches TPE's best error after {reached.unit_seconds:.1f} s: "
                f"{ratio:.2f} of TPE's unit time"
            )


if __name__ == "__main__":
    main()
