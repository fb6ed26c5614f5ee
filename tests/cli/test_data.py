"""``--data``: from raw archives to partitions by one command, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.cli.main import main
from experiments.datasets import PreparedDataset
from experiments.datasets.aside import remove
from experiments.datasets.ingested import Ingested
from experiments.paths import state


@pytest.mark.parametrize(
    ("name", "rows", "cut", "noted"),
    [
        ("criteo", 15_048, 4_000, {}),
        ("imagenet", 3_200, 2_400, {"CMYK": 1, "PNG": 1, "grey": 80}),
    ],
)
def test_generated_archives_become_partitions(
    name: str, rows: int, cut: int, noted: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--data", name, "--scale", "smoke", "--json", "--forms", "arrays", "copy"]
    assert main(command) == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert sum(made["rows"].values()) == rows
    assert made["noted"] == noted
    assert made["cut"]["train"] == cut  # what e2e-criteo takes; none takes these images
    Ingested.open(Path(made["records"])).verify()
    for form in ("arrays", "copy"):
        opened = PreparedDataset.open(Path(made["forms"][form]))
        opened.verify()
        assert sum(opened.rows("train", k) for k in range(2)) == cut
    assert main([*command[:-3], "--quiet"]) == 0
    captured = capsys.readouterr()
    assert not captured.err
    (again,) = json.loads(captured.out)
    assert again["forms"]["arrays"] == made["forms"]["arrays"]
    assert main(["--data", name, "--scale", "smoke"]) == 0
    assert f"{name}-generated: " in capsys.readouterr().out
    remove(state().generated)  # records stay when archives have been moved away
    assert main(["--data", name, "--scale", "smoke", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["criteo", "--scale", "paper"], "day_1.gz, day_2.gz, day_3.gz"),
        (["imagenet", "--scale", "paper"], "ILSVRC2012_img_val.tar is missing"),
        (["imagnet"], "the nearest name is 'imagenet'"),
        (["criteo", "--forms", "parket"], "parquet"),
        (["criteo", "--source", "/nowhere"], "--source /nowhere is not a folder"),
        (["criteo", "imagenet", "--source", "/tmp"], "--source is of one data set"),
        (["criteo", "--workers", "9"], "--workers 9: a cluster has 1 to 8"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", *arguments, "--quiet"]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.startswith("error: ")
    assert len(said.splitlines()) == 1
