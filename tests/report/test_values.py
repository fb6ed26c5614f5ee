"""A figure's files as the page has them: numbers, bars and pictures; runs as Gantt charts."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from experiments.errors import DataError
from experiments.report import gantts, numbers, pictures, run_folders
from experiments.report.gantts import MOST_BOXES, ROW, WIDE
from experiments.report.numbers import MOST_ROWS, Bar
from experiments.report.words import column, short
from tests.analysis.synthetic_runs import spec
from tests.report.made_up import TABLE, finished


def table(path: Path, text: str) -> numbers.Numbers:
    path.write_text(text)
    return numbers.read(path)


def test_ours_stands_beside_the_paper_s(tmp_path: Path) -> None:
    found = table(tmp_path / "9b.csv", TABLE)
    assert found.paper == (False, False, False, False, False, True, False)
    assert found.evidence == ("measured",)
    assert [series.name for series in found.series] == ["ours_s", "ours_share"]
    assert found.series[0].bars[0] == Bar("CTQ · train", 3.5, None)
    assert found.series[1].bars == (
        Bar("CTQ · train", 0.75, 0.71),
        Bar("CTQ · idle", 0.25, 0.29),
        Bar("DA-Cerebro · train", 1.0, 0.91),
    )
    assert found.series[1].most == 1.0


def test_rows_of_the_paper_are_told_apart_and_are_no_evidence(tmp_path: Path) -> None:
    found = table(tmp_path / "a.csv", "what,value,evidence\na,1,emulated\nb,2,reference\nc,,\n")
    assert found.reference == (False, True, False)
    assert found.evidence == ("emulated",)
    assert [bar.label for bar in found.series[0].bars] == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "what,value\na,1\na,1\n",  # all the same
        "what,value\na,-1\nb,2\n",  # no bar goes below nothing
        "what,value\na,True\nb,False\n",
        "what,seeds\na,1\nb,2\n",
        "what,value\na,inf\nb,nan\n",
        "what,value\na,1\n",
    ],
)
def test_what_makes_no_bars_makes_none(tmp_path: Path, text: str) -> None:
    assert table(tmp_path / "a.csv", text).series == ()


def test_long_tables_are_cut_and_say_so(tmp_path: Path) -> None:
    rows = "".join(f"r{number},{number}.5\n" for number in range(MOST_ROWS + 7))
    found = table(tmp_path / "a.csv", f"what,value\n{rows}")
    assert (len(found.rows), found.left_out) == (MOST_ROWS, 7)
    assert found.series == ()


@pytest.mark.parametrize("text", ["", "a,b\n1\n"])
def test_what_is_no_table_names_its_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"a\.csv: "):
        table(tmp_path / "a.csv", text)


def test_values_keep_the_csv_s_own_words(tmp_path: Path) -> None:
    cell = table(tmp_path / "a.csv", "value\n0.123456789\n12345678\n").rows[0][0]
    assert (cell.text, cell.full, cell.number) == ("0.1235", "0.123456789", True)
    assert [short(value) for value in (2.0, 12_345.6, 0.5)] == ["2", "12,346", "0.5"]
    assert [column(name) for name in ("ours_s", "paper_share", "state_mb", "s")] == [
        "ours (s)",
        "paper share",
        "state (MB)",
        "s",
    ]


def test_large_pictures_are_made_smaller_and_small_ones_are_not(tmp_path: Path) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    Image.new("RGB", (2400, 1200), "#fff").save(small)
    Image.effect_noise((2400, 1200), 90).convert("RGB").save(large)
    kept, made = pictures.embed(small), pictures.embed(large)
    assert (kept.width, kept.height) == (2400, 1200)
    assert (made.width, made.height) == (1800, 900)
    data = base64.b64decode(made.source.removeprefix("data:image/png;base64,"))
    assert len(data) < large.stat().st_size / 1.5
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (1800, 900)


@pytest.mark.parametrize("data", [b"", b"<svg onload='x'></svg>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_names_its_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.png: not a figure's picture"):
        pictures.embed(tmp_path / "a.png")


def test_a_run_s_boxes_lie_where_its_spans_were(tmp_path: Path) -> None:
    drawing = gantts.draw(run_folders.one(finished(tmp_path / "run", spec())))
    assert (drawing.workers, drawing.seconds, drawing.height) == (2, 4.0, 2 * ROW)
    assert [(box.x, box.width) for box in drawing.boxes] == [
        (number * WIDE / 4, WIDE / 4) for number in range(4)
    ]
    assert [box.y // ROW for box in drawing.boxes] == [0, 1, 0, 1]
    assert [box.look for box in drawing.boxes] == ["m0", "m1", "m0", "m1"]


def test_of_many_boxes_the_shortest_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gantts, "MOST_BOXES", 3)
    drawing = gantts.draw(run_folders.one(finished(tmp_path / "run", spec())))
    assert (len(drawing.boxes), drawing.left_out) == (3, 1)
    assert MOST_BOXES > 3


def test_a_run_that_cannot_be_drawn_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_folders.one(finished(tmp_path / "run", spec()))
    monkeypatch.setattr(gantts, "MOST_BYTES", 10)
    assert "--gantt run draws it" in gantts.draw(run).fault
    monkeypatch.undo()
    (tmp_path / "run" / "journal.jsonl").write_text("damage\n")
    assert "line 1 is not a journal event" in gantts.draw(run).fault


def test_runs_to_draw_are_those_of_figures_13_14_and_one_per_approach(tmp_path: Path) -> None:
    run = run_folders.one(finished(tmp_path / "run", spec()))
    runs = [
        replace(run, name="earlier", finished="2020-01-01T00:00:00+00:00"),
        run,
        replace(run, name="other", approach="ma"),
        replace(run, name="two", experiment="stragglers"),
        replace(run, name="one", experiment="barriers"),
        replace(run, name="seed", experiment="barriers", seed=7),
        replace(run, name="open", experiment="barriers", seed=8, finished=""),
        replace(run, name="search", experiment="search"),
    ]
    chosen = [each.name for each in gantts.representative(runs)]
    assert chosen == ["one", "seed", "two", "run", "other"]
