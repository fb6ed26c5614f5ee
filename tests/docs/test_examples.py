"""Every example of ``docs/extending/`` does what its page says."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.analysis import notebooks, reference
from experiments.approaches.base import RunContext
from experiments.datasets import SPLITS, prepare
from experiments.models import architectures
from experiments.models.session import Session
from experiments.mop import invariants
from experiments.mop.policy import POLICIES
from experiments.mop.simulate import Workload, simulate
from experiments.mop.store import ModelStore
from experiments.paths import Artifacts, state
from experiments.report.judge import judge, paper_outcome
from experiments.report.paper_numbers import PaperNumbers
from experiments.report.verdict import Outcome
from experiments.runtime.local import LocalRuntime
from experiments.search.registry import SEARCHERS
from experiments.specs import devices
from experiments.specs import load as specs
from experiments.specs.claims import load as load_claims
from experiments.specs.model import DatasetSpec
from experiments.specs.secrets import Secrets
from experiments.specs.topology import COORDINATOR, SEGMENT
from experiments.telemetry.journal import Journal, read
from experiments.warehouse.cluster import Cluster
from experiments.warehouse.dialect import Segment
from tests.analysis.synthetic_runs import two_approaches
from tests.analysis.test_notebooks import write_notebook
from tests.docs.conftest import block
from tests.faults.harness import small_spec
from tests.mop.fakes import InlineExecutor, MemoryStore, run
from tests.search.playing import bowl, play, search_spec

Example = Callable[[str], Any]


def test_the_approach_hops(example: Example, tmp_path: Path) -> None:
    spec = small_spec("ctq", seed=5, epochs=1)
    dataset = prepare(spec.dataset, spec.workers, spec.seed)
    with (
        LocalRuntime(tmp_path / "cluster") as runtime,
        Journal(tmp_path / "journal.jsonl", "docs") as journal,
    ):
        topology = runtime.make_topology("docs", spec.workers, 1)
        store = ModelStore(tmp_path / "stores")
        approach = example("approach").Approach(
            RunContext(spec, dataset, topology, journal, store, ())
        )
        try:
            approach.prepare()
            approach.train()
        finally:
            approach.close()
    events = list(read(tmp_path / "journal.jsonl"))
    invariants.check(events, len(spec.configs), spec.workers, [1])
    errors = [event.detail["top1_error"] for event in events if event.kind == "evaluated"]
    assert len(errors) == len(spec.configs)
    assert min(errors) < 0.2, "of four classes"


def test_the_policy_finishes_one_model_after_the_other(example: Example, tmp_path: Path) -> None:
    policy = example("policy").FinishFirstPolicy(1)
    assert policy.name not in POLICIES
    ran = simulate(policy, Workload.of([1.0] * 3, 1))
    assert [item.unit.model for item in ran] == [0, 1, 2]
    events = run(tmp_path, 4, 3, 2, policy, InlineExecutor(MemoryStore(4)))
    invariants.check(events, 4, 3, [1, 2])


def test_the_searcher_climbs(example: Example) -> None:
    climber = example("searcher").Climber
    assert not {"climber"} & set(SEARCHERS)
    asked = play(climber(search_spec("climber", trials=60, startup=5), 1, seed=3))
    assert len(asked) == 60
    losses = [bowl(assignment.config, 1) for assignment in asked]
    assert sum(losses[50:]) / 10 < min(losses[:5])


def test_the_data_set_is_prepared(example: Example, tmp_path: Path) -> None:
    source = example("dataset").Circle()
    data = prepare(DatasetSpec("circle", 1001, 200), 3, 1, tmp_path, source=source)
    data.verify()
    for split in SPLITS:
        parts = [data.partition(split, key) for key in range(3)]
        x = np.concatenate([part.x for part in parts])
        y = np.concatenate([part.y for part in parts])
        assert np.array_equal(y, np.hypot(*x.T) < 0.8)
        assert 0.4 < y.mean() < 0.6, "pi * 0.8 ** 2 / 4"
        assert len(np.unique(x)) > len(x)


def test_the_architecture_learns(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    builder = partial(example("architecture").pooled, filters=(8, 16))
    monkeypatch.setitem(architectures._BUILDERS, "pooled-tiny", builder)
    job = {
        "architecture": "pooled-tiny",
        "input_shape": [28, 28, 1],
        "classes": 2,
        "batch_size": 16,
        "learning_rate": 1e-2,
        "regularization": 0.0,
    }
    rows = np.random.default_rng(1).standard_normal((64, 28, 28, 1), np.float32)
    classes = np.arange(64) % 2
    rows += 2 * classes[:, None, None, None].astype(np.float32)
    labels = np.eye(2, dtype=np.int16)[classes]
    session = Session(0)
    session.load(job, session.initial_state(job, 3))
    losses = []
    for seed in range(4):
        session.train_start(job, seed)
        session.train_rows(rows, labels)
        losses.append(session.train_finish().loss_sum)
    assert losses[-1] < losses[0] / 2


def test_the_protocol_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {**specs._read("protocols"), **tomllib.loads(block("protocol", "toml"))}
    known = {"protocols": rows, "approaches": specs._read("approaches")}
    monkeypatch.setattr(specs, "_read", known.__getitem__)
    *_, (name, protocol) = specs.protocols().items()
    assert (name, protocol.storage, protocol.ddp_batch) == ("small-buffers", "lz4", "global")


def test_the_dialect_serves_a_cluster(example: Example) -> None:
    name = "docs-dialect"
    with LocalRuntime(state().clusters / name) as runtime:
        topology = runtime.make_topology(name, 1, threads=1)
        runtime.start(topology, (SEGMENT, COORDINATOR))
        cluster = Cluster(
            topology.coordinator,
            (Segment(0, *topology.segments[0]),),
            Secrets(topology.secrets).password(),
            example("database").Fetching(),
        )
        cluster.setup()
        with cluster.session() as session, session.cursor() as cursor:
            cursor.execute("SELECT srvoptions FROM pg_foreign_server")
            ((options,),) = cursor.fetchall()
            assert "fetch_size=1000" in options
            statement = cluster.dialect.targeted("warm", {"model": {}}, 0)
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}")
            cluster.dialect.check_in_place(cursor.fetchone()[0], statement)
        runtime.stop(purge=True)


def test_the_experiment_has_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    table = tomllib.loads(block("experiment-and-figure", "toml"))
    known = {name: specs._read(name) for name in ("experiments", "approaches", "protocols")}
    known["experiments"] = {**known["experiments"], **table}
    monkeypatch.setattr(specs, "_read", known.__getitem__)
    spec = specs.run_spec("depth", "ctq", "smoke")
    assert [config.key for config in spec.configs] == [
        f"{name}-b32-lr{rate}-reg0.0001"
        for name in ("resnet-tiny", "vgg-tiny")
        for rate in ("0.001", "0.0001")
    ]


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    parameters = notebooks.Parameters(
        scale="smoke",
        runs=tuple(two_approaches(tmp_path / "runs")),
        artifacts=Artifacts(tmp_path / "artifacts"),
        notebooks=tmp_path / "notebooks",
    )
    write_notebook(parameters.source("depth"), block("experiment-and-figure", "python"))
    files = notebooks.build("depth", parameters)
    assert files.csv.read_text() == "approach,seconds\nCerebro-Standalone,3\nCTQ,3\n"
    assert files.png.stat().st_size > 2000


def test_the_device_can_be_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {**devices._table(), **tomllib.loads(block("device", "toml"))}
    monkeypatch.setattr(devices, "_table", lambda: table)
    assert devices.names() == ("p100", "t4", "a100", "v100", "this")
    emulated = devices.emulation("v100", {"resnet50": 32}, dataset="imagenet")
    assert emulated.models["resnet50"].batch_seconds("train", 100) == pytest.approx(0.16)


def test_the_claim_holds_on_the_paper_s_numbers(tmp_path: Path) -> None:
    path = tmp_path / "claims.toml"
    origins = '[origins]\nruns = "spread of runs"\n'
    path.write_text(origins + block("claim", "toml"), encoding="utf-8")
    claims = load_claims(path)
    paper = PaperNumbers(reference.load())
    assert paper_outcome(claims.claims["54"], paper) is Outcome.REPRODUCED
    (verdict,) = judge(claims, [], scale="smoke")
    assert verdict.outcome is Outcome.NOT_RUN
    assert "--experiment e2e-imagenet e2e-criteo --scale smoke" in verdict.reason
