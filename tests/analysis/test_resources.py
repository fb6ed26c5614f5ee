"""What a run took, from samples that are known; and what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.analysis import end_to_end, gantt, lanes, reference, samples, searches, table6
from experiments.analysis.resource_measures import Value
from experiments.analysis.resources import resources, table
from experiments.analysis.runs import Run, load
from experiments.paths import RunFolder
from experiments.specs.load import approaches
from experiments.specs.topology import LOOPBACK
from experiments.telemetry.journal import Journal, Span
from tests.analysis.sampled_runs import HEADER, sampled, timed
from tests.analysis.synthetic_runs import SECOND, STANDALONE_S, spec, typical, write_run
from tests.analysis.words import check_words_fit, words

PAPER = reference.load()
GPUS = {"GPU-1": {"busy_pct": 74, "controller_pct": 42, "used_bytes": 10, "memory_bytes": 40}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = spec(experiment="e2e-imagenet", workers=2, epochs=2)
    return write_run(tmp_path / "run", run, typical(run, STANDALONE_S))


def window(run: Run) -> float:
    ((start, end),) = samples.execution(run)
    return end - start


def numbers(found: dict[str, Value]) -> dict[str, float | None]:
    return {name: value.number for name, value in found.items()}


def test_execution_is_what_lies_between_the_samples_nearest_to_it(folder: Path) -> None:
    run = timed(folder)
    sampled(folder, until=len(run.events), nodes=2)
    seconds = window(run)
    found = resources(run)
    assert seconds > 5
    expected = {
        "cpu_pct": 25.0,
        "cpu_s": 2 * seconds,
        "machine_cpu_pct": 50.0,
        "others_cpu_pct": 25.0 - 0.2 / 4,
        "sampler_core_pct": 0.2,
        "dram_pct": 100 * 2 / 16,
        "machine_dram_pct": 25.0,
        "network_bytes": 2 * 10e6 * seconds,
        "machine_network_bytes": 2 * 10e6 * seconds,
        "disk_read_bytes": 3e6 * seconds,  # per worker
        "disk_write_bytes": 1e6 * seconds,
        "machine_disk_read_bytes": 5e6 * seconds,
        "machine_disk_write_bytes": 7e6 * seconds,
    }
    got = numbers(dict(found))
    assert {name: got[name] for name in expected} == pytest.approx(expected)
    assert found["gpu_util_pct"].state == "not measurable here: no NVIDIA driver"
    assert found["gpu_energy_j"].state == "not measurable here: no NVIDIA driver"
    assert {value.state for value in found.values()} <= {
        "measured",
        "not measurable here: no NVIDIA driver",
    } | {value.state for name, value in found.items() if name.startswith("etl_")}


def test_the_etl_stands_apart(folder: Path) -> None:
    names = RunFolder(folder)
    text = names.journal.read_text().replace('"seconds":7.0', '"seconds":1.0')
    names.journal.write_text(text)
    run = timed(folder)
    sampled(folder, until=len(run.events))
    found = resources(run)
    assert found["etl_cpu_s"].number == pytest.approx(1.0)
    assert found["etl_network_bytes"].number == pytest.approx(10e6)
    assert found["cpu_s"].number == pytest.approx(window(run))
    tidy = table(run)
    assert set(tidy["part"]) == {"execution", "etl"}
    assert len(tidy) == len(found)


def test_nodes_whose_clocks_differ_are_aligned_by_their_wall_clocks(folder: Path) -> None:
    run = timed(folder)
    sampled(folder, until=len(run.events), nodes=2, apart=1e6)
    assert resources(run)["cpu_s"].number == pytest.approx(2 * window(run))


def test_gpus_are_read_as_the_paper_did_and_truly(folder: Path) -> None:
    run = timed(folder)
    sampled(folder, until=len(run.events), gpus=GPUS)
    found = resources(run)
    assert found["gpu_util_pct"].number == 74
    assert found["gpu_ram_pct"].number == 42
    assert found["gpu_memory_pct"].number == 25
    assert found["gpu_energy_j"].number is None
    assert "does not tell its energy" in found["gpu_energy_j"].state


def test_energy_is_what_the_counter_grew_by(folder: Path) -> None:
    run = timed(folder)
    sampled(folder, until=len(run.events), gpus={"GPU-1": {**GPUS["GPU-1"], "energy_mj": 50_000}})
    assert resources(run)["gpu_energy_j"].number == pytest.approx(50 * window(run))


def test_a_run_without_samples_says_so(folder: Path) -> None:
    found = resources(load(folder))
    assert {v.state for name, v in found.items() if "database" not in name} == {"not recorded"}


def test_a_node_that_left_nothing_is_named(folder: Path) -> None:
    run = timed(folder)
    sampled(folder, until=len(run.events), nodes=2)
    (RunFolder(folder).telemetry / "node-1.parquet").unlink()
    state = resources(run)["cpu_pct"].state
    assert state == "not measurable here: the sampler of node 1 left nothing"


def test_what_is_over_within_a_period_is_not_measured(folder: Path) -> None:
    run = timed(folder, every=0.001)
    sampled(folder, until=10)
    state = resources(run)["cpu_pct"].state
    assert state == "not measurable here: it was over within one period of 1 s"


def test_samples_that_end_early_do_not_stand_for_the_whole(folder: Path) -> None:
    run = timed(folder, every=10.0)
    (start, end), *_ = samples.execution(run)
    sampled(folder, until=round((start + end) / 2))
    assert "has no samples of" in resources(run)["cpu_pct"].state


def test_a_gap_hides_means_and_no_counters(folder: Path) -> None:
    """As where a sampler was killed and started again."""
    run = timed(folder)
    ((start, end),) = samples.execution(run)
    sampled(folder, until=len(run.events), gap=(start + 0.5, end - 0.5), period=0.5)
    found = resources(run)
    assert found["cpu_s"].number == pytest.approx(window(run))
    assert "has samples of" in found["dram_pct"].state


def test_in_one_machine_the_network_is_what_components_count(folder: Path) -> None:
    with Journal(RunFolder(folder).journal, "run") as journal:
        span = Span("model_transmission", 5 * SECOND, 6 * SECOND, 1234)
        journal.span(span, worker=0, model=0, partition=0, epoch=1)
        sent = {"sent_bytes": 7_000_000}
        journal.append("unit_finished", worker=0, model=0, epoch=1, kind="train", counters=sent)
    run = timed(folder)
    sampled(folder, until=len(run.events), address=LOOPBACK)
    found = resources(run)["network_bytes"]
    assert found.number == 7_001_234
    assert "counted by the components" in found.label
    quiet = resources(load(folder))["etl_network_bytes"]
    assert quiet.number is None


def test_tables_show_ours_beside_the_papers(folder: Path) -> None:
    run = timed(folder)
    sampled(folder, until=len(run.events), nodes=2)
    found = end_to_end.table([run], approaches(), PAPER)
    row = found[found["title"] == "CTQ"].iloc[0]
    assert row["cpu_pct"] == pytest.approx(25.0)
    assert row["paper_cpu_pct"] == 2.5
    assert row["network_TB"] == pytest.approx(2 * 10e6 * window(run) / 1e12)
    assert row["gpu_util_pct"] == "not measurable here: no NVIDIA driver"
    picture = table6.figure(found, [run], PAPER)
    check_words_fit(picture)
    said = " ".join(words(picture).split())
    assert "25.0" in said
    assert "GPU, GPU RAM: not measurable here: no NVIDIA driver (CTQ)." in said
    assert "not recorded" not in said


def test_a_chart_has_lanes_below_it(folder: Path) -> None:
    run = timed(folder)
    sampled(folder, until=60)
    below = lanes.lanes(run)
    assert [lane.title for lane in below] == ["CPU", "GPU", "network", "disk"]
    cpu, gpu, network, disk = below
    machine, own = cpu.curves
    assert machine.values == pytest.approx(50.0)
    assert own.values == pytest.approx(25.0)
    assert gpu.reason == HEADER.states["gpu"]
    assert network.curves[0].values == pytest.approx(10.0)
    assert [float(curve.values[0]) for curve in disk.curves] == pytest.approx([12.0, 3.0, 2.0])
    picture = gantt.figure(gantt.bars(run), [run], ["CTQ"], "run", lanes.notes(below), below)
    check_words_fit(picture)
    assert "no NVIDIA driver" in words(picture)


def test_a_chart_without_samples_says_so(folder: Path) -> None:
    assert lanes.lanes(load(folder)) == []
    assert lanes.notes([]) == ["Resources: not recorded of this run."]


def test_table_7_has_the_same_columns() -> None:
    assert set(searches.RESOURCES) ^ set(end_to_end.RESOURCES) == {"network_GB", "network_TB"}
