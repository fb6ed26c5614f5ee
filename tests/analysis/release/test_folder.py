"""A whole folder of logs: what its files are, its tables, its figures, and what it lacks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from experiments.analysis import reference
from experiments.analysis.release import curve_figures, tables
from experiments.analysis.release.reading import Logs, read_folder
from experiments.analysis.release.rebuild import FIGURES, Rebuilt, figures, rebuild
from experiments.errors import DataError
from experiments.specs.release_logs import load
from tests.analysis.release import made_up
from tests.analysis.words import check_words_fit, words


def quiet(done: int, total: int) -> None:
    """Nobody looks."""


@dataclass(frozen=True)
class Read:
    """A folder that was read, and what it gave."""

    folder: Path
    logs: Logs
    made: Rebuilt


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    root = tmp_path_factory.mktemp("release")
    folder = made_up.release(root / "logs")
    logs = read_folder(folder, load(), quiet)
    yield Read(folder, logs, rebuild(logs, load(), reference.load(), root / "out"))
    shutil.rmtree(root)


def one(table: pd.DataFrame, **where: object) -> pd.Series:
    for name, value in where.items():
        table = table[table[name] == value]
    assert len(table) == 1, table
    return table.iloc[0]


def test_every_file_is_recognised_or_told(read: Read) -> None:
    files = read.made.tables["files"].set_index("file")
    ctq = "run_logs/2020_08_18_16_47_28"
    assert files.loc[f"{ctq}/global.log", "kind"] == "global"
    assert files.loc[f"{ctq}/cerebro-ctq/client.log", "kind"] == "events"
    assert files.loc["run_logs/2020_08_14_16_08_52/cerebro-da/0.log", "kind"] == "model"
    assert files.loc["notes.txt", "remark"] == "neither its name nor its content is known"
    pickle = files.loc[f"{ctq}/cerebro-ctq/models_info.pkl"]
    assert pickle["kind"] == "pickle"
    assert "lost with it" in pickle["remark"]
    assert pickle["lines"] == 0
    assert files["damaged"].sum() == 0
    kinds = files["kind"].value_counts()
    assert {kind: kinds[kind] for kind in ("cpu", "gpu", "disk", "network", "task")} == {
        **dict.fromkeys(("cpu", "gpu", "disk", "network"), 3),
        "task": 2,
    }


def test_content_tells_what_a_file_is_where_its_name_does_not(tmp_path: Path) -> None:
    made_up.write(tmp_path / "a.txt", made_up.global_log("ma", 10))
    made_up.write(tmp_path / "b.txt", made_up.cpu_log({0: (1, 1)}))
    made_up.write(tmp_path / "client.log", [])
    (tmp_path / "c.log").write_bytes(b"\x89HDF\r\n")
    (tmp_path / "d.log").write_bytes("wide".encode("utf-16"))
    (tmp_path / "e.log").write_bytes(b"\x80\x04\x95")
    (tmp_path / "f.log").symlink_to(tmp_path / "nowhere")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "g.log")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.log")).write_text("?")
    logs = read_folder(tmp_path, load(), quiet)
    found = {str(each.path): (each.kind, each.remark) for each, _ in logs.files}
    assert [found[name][0] for name in ("a.txt", "b.txt", "client.log", "e.log")] == [
        *("global", "cpu", "events", "pickle"),
    ]
    assert found["c.log"] == ("unknown", "HDF5, not a log")
    assert found["d.log"][1].startswith("UTF-16 text")
    assert "cannot be read" in found["f.log"][1]
    assert found["g.log"] == ("unknown", "not a plain file")
    assert not any(name.startswith("again") for name in found)  # the same folder once more
    assert "\\xff.log" in set(tables.files(logs)["file"])


def test_times_leave_out_the_etl_where_the_logs_tell_it(read: Read) -> None:
    times = read.made.tables["times"]
    assert set(times["evidence"]) == {"paper logs"}
    ctq = one(times, experiment="e2e-imagenet-2020", approach="ctq")
    assert (ctq["wall_s"], ctq["exec_s"], ctq["epoch_s"]) == (100.0, 100.0, 10.0)
    assert pd.isna(ctq["etl_s"])
    da = one(times, experiment="e2e-imagenet-2020", approach="da")
    assert (da["wall_s"], da["etl_s"], da["exec_s"]) == (100.0, 30.0, 70.0)
    ddp = one(times, experiment="e2e-imagenet-2020", approach="da-ddp")
    assert (ddp["etl_s"], ddp["exec_s"]) == (40.0, 160.0)
    spark = one(times, experiment="search", approach="spark")
    assert (spark["etl_s"], spark["exec_s"]) == (1800.0, 3600.0)


def test_parts_are_what_events_tell_and_nothing_is_imputed(read: Read) -> None:
    parts = read.made.tables["parts"]
    of = parts[parts["experiment"] == "breakdown-imagenet"].set_index(["approach", "component"])
    seconds = of["worker_seconds"]
    assert seconds["ctq"].to_dict() == {
        "train_valid": 29.0,
        "data_transmission": 3.0,
        "model_transmission": 2.0,
        "approach_specific": 1.0,
    }
    assert seconds["ma"].to_dict() == {
        "train_valid": 31.0,
        "data_transmission": 3.0,
        "approach_specific": 1.0,
    }
    assert seconds["udaf"].to_dict() == {
        "train_valid": 31.0,
        "data_transmission": 3.0,
        "model_transmission": 1.0,
    }
    assert set(seconds["da"].index) == {"train_valid", "approach_specific"}
    assert seconds["da", "train_valid"] == 2 * 2 * (18 + 6)
    assert of.loc[("da", "train_valid"), "epoch_h"] == pytest.approx(96 / 2 / 10 / 3600)
    assert seconds["da-ddp", "data_transmission"] == 2 * 40
    assert "unmapped" not in set(parts["component"])


def test_resources_are_those_of_the_run_without_its_etl(read: Read) -> None:
    used = read.made.tables["used"]
    ctq = used[(used["experiment"] == "e2e-imagenet-2020") & (used["approach"] == "ctq")]
    values = ctq.set_index("measure")["value"]
    assert values["gpu_util_pct"] == values["cpu_pct"] == 50.0
    assert values["dram_pct"] == 25.0
    assert values["network_GB"] == pytest.approx(3 * 1024 * 100 / 1024**2)
    assert values["disk_read_GB_per_worker"] == pytest.approx(11 * 90 / 1024)
    assert values["disk_write_GB_per_worker"] == pytest.approx(22 * 90 / 1024)
    assert ctq["covered"].min() == pytest.approx(0.9)
    assert set(used["approach"]) == {"ctq"}  # the others are of other months


def test_curves_come_from_models_clients_and_tasks(read: Read) -> None:
    curves = read.made.tables["curves"]
    valid = curves[curves["split"] == "valid"]
    da = valid[(valid["experiment"] == "e2e-imagenet-2020") & (valid["approach"] == "da")]
    assert da[da["config"] == "1"]["top5_error"].to_list() == pytest.approx([0.55, 0.35])
    assert da[da["config"] == "1"]["hours"].to_list() == pytest.approx([28 / 3600, 58 / 3600])
    ctq = valid[(valid["experiment"] == "e2e-imagenet-2020") & (valid["approach"] == "ctq")]
    assert ctq[ctq["config"] == "1_resnet50"]["top5_error"].to_list() == [0.5, 0.25]
    search = valid[valid["experiment"] == "search"]
    assert search.groupby("approach")["config"].nunique().to_dict() == {
        "ctq": 4,
        "da": 2,
        "hyperopt-spark": 2,
        "spark": 2,
    }
    second = search[search["config"] == "batch 2: 0_resnet18"]
    assert second["hours"].to_list() == [1.5, 2.0]
    spark = search[(search["approach"] == "spark") & (search["config"] == "1")]
    assert spark["hours"].to_list() == [0.5, 0.75]
    assert spark["top5_error"].to_list() == pytest.approx([0.6, 0.4])


def test_what_can_be_drawn_is_drawn_and_what_not_is_told(read: Read) -> None:
    assert set(read.made.drawn) == set(FIGURES) - {"9c"}
    assert all(path.stat().st_size for path in read.made.written)
    told = dict(read.made.missing)
    assert "the folder has no logs for it of: End to end, Criteo" in told["Figure 9C"]
    assert "pickled" in told["Figure 9A: MA and UDAF"]
    lacking = [what for what in told if what.startswith("End to end, ImageNet, runs of 2020")]
    assert "UDAF (2020_04_24_22_05_00)" in lacking[0]
    assert any("2 pickles" in what for what in told)
    typed = read.made.tables["typed"]
    assert set(typed["evidence"]) == {"typed in by the release, not used"}


@pytest.mark.parametrize("figure_id", [each for each in FIGURES if each != "9c"])
def test_no_words_of_a_figure_overlap(read: Read, figure_id: str) -> None:
    drawn = figures(read.made.tables, load(), reference.load())[figure_id]()
    assert drawn is not None
    check_words_fit(drawn[0])
    assert "from the authors' own logs" in words(drawn[0])


def test_figures_tell_what_they_are_of(read: Read) -> None:
    found, spec, papers = read.made.tables, load(), reference.load()
    drawn = curve_figures.fig_9a(found["curves"], spec, papers)
    assert drawn is not None
    figure, table = drawn
    assert "Cerebro-Standalone (the paper's Cerebro-Spark)" in words(figure)
    best = table[table["approach"] == "standalone"]
    assert best["top5_error"].to_list() == pytest.approx([0.55, 0.35])
    scaled = curve_figures.fig_10(found["times"], spec, papers)
    assert scaled is not None
    assert scaled[1].set_index(["approach", "workers"])["speed_up"]["ma", 2] == 2.0
    two_speeds = curve_figures.fig_11(found["times"], spec, papers)
    assert two_speeds is not None
    assert set(two_speeds[1]["speed_up"]) == {1.0, 2.0}


def test_a_run_that_was_started_twice_counts_as_it_ran_last(tmp_path: Path) -> None:
    folder = tmp_path / "run_logs" / "2020_08_18_16_47_28"
    again = made_up.global_log("cerebro-ctq", 50, made_up.START.replace(hour=20))
    made_up.write(folder / "global.log", [*made_up.global_log("cerebro-ctq", 10)[:1], *again])
    row = one(tables.times(read_folder(tmp_path, load(), quiet), load()), approach="ctq")
    assert (row["wall_s"], row["starts"]) == (50.0, 2)


def test_a_folder_of_another_name_takes_the_window_of_its_time_stamp(tmp_path: Path) -> None:
    folder = tmp_path / "2020_08_14_16_08_52"
    made_up.write(folder / "global.log", made_up.global_log("da", 100))
    made_up.write(folder / "odd" / "client.log", [made_up.scheduled(5, "PRELOAD_COMPLETED", 0)])
    row = one(
        tables.times(read_folder(tmp_path, load(), quiet), load()), experiment="e2e-imagenet-2020"
    )
    assert (row["approach"], row["etl_s"]) == ("da", 5.0)


def test_runs_take_the_resources_of_the_nearest_place(tmp_path: Path) -> None:
    for place in ("", "inner"):
        folder = tmp_path / place / "run_logs" / "2020_08_18_16_47_28"
        made_up.write(folder / "global.log", made_up.global_log("cerebro-ctq", 100))
    made_up.write(
        tmp_path / "cpu_logs" / "cpu_utilization_worker0.log", made_up.cpu_log({0: (10, 1)})
    )
    inner = tmp_path / "inner" / "cpu_logs" / "cpu_utilization_worker0.log"
    made_up.write(inner, made_up.cpu_log({0: (80, 8)}))
    logs = read_folder(tmp_path, load(), quiet)
    means = {run.place: run.resources["cpu", "worker0"].sums["cpu_pct"].mean for run in logs.runs}
    assert means == {"": 10.0, "inner": 80.0}


def test_what_is_no_folder_of_logs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        read_folder(tmp_path / "nowhere", load(), quiet)
    with pytest.raises(DataError, match="the folder is empty"):
        read_folder(tmp_path, load(), quiet)
    (tmp_path / "a.pkl").write_bytes(b"\x80\x03.")
    with pytest.raises(DataError, match=r"none of its 1 files .* \(1 are pickles"):
        read_folder(tmp_path, load(), quiet)


def test_a_pickle_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up.write(tmp_path / "global.log", made_up.global_log("ma", 10))
    (tmp_path / "models_info.pkl").write_bytes(b"\x80\x03.")
    spec = load()
    opened: list[Path] = []
    real = Path.open

    def watched(self: Path, *arguments: object, **named: object) -> object:
        opened.append(self)
        return real(self, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", watched)
    read_folder(tmp_path, spec, quiet)
    assert {path.name for path in opened} == {"global.log"}
