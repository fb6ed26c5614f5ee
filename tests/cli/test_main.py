"""The command line: what it answers, and that a wrong word is one line and exit code 2."""

from __future__ import annotations

import errno
import io
import json
from argparse import Namespace
from pathlib import Path

import pytest

from experiments.cli import reproduce
from experiments.cli.main import main
from experiments.cli.progress import duration
from experiments.errors import ReproduceError
from experiments.specs.load import left_out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--figure", "tabel6"], ["unknown figure 'tabel6'", "did you mean 'table6'"]),
        (["--figure", "9b", "--scale", "smok"], ["unknown scale 'smok'", "did you mean 'smoke'"]),
        (["--experiment", "brekdown"], ["unknown experiment", "did you mean 'breakdown'"]),
        (["--benchmark", "trainig"], ["unknown benchmark", "did you mean 'training'"]),
        (["--benchmark"], ["unknown benchmark", "loading"]),
        (["--all", "--workers", "9"], ["--workers 9", "1 to 8"]),
        (["--list", "--figure", "nope"], ["unknown figure 'nope'"]),
        (["--plan", "--all", "--figure", "nope"], ["unknown figure 'nope'"]),
        (["--list", "--doctor"], ["one command at a time"]),
        (["--figure"], ["--figure", "expected at least one argument"]),
        (["--figur", "9b"], ["unrecognized arguments: --figur 9b"]),
        (["--all", "--workers", "two"], ["--workers", "invalid int value: 'two'"]),
        (["--all", "--scale", "SMOKE"], ["unknown scale 'SMOKE'", "did you mean 'smoke'"]),
        (["--all", "--seed", "-1"], ["--seed -1", "0 to"]),
        (["--plan", "--seed", str(2**31 - 2), "--repeat", "3"], ["--seed", "0 to 2147483645"]),
        (["--all", "--repeat", "0"], ["--repeat 0", "1 to 100"]),
        (["--plan", "--repeat", "1000000"], ["--repeat 1000000", "1 to 100"]),
        (["--clean", "--figure", "9b"], ["--clean removes all runs", "--fresh"]),
        (["--all", "--workers", "0"], ["--workers 0", "1 to 8"]),
        (["--plan", "--protocol", "papr"], ["unknown protocol 'papr'", "equal"]),
        (["--all", "--runtime", "dokcer"], ["unknown runtime", "did you mean 'docker'"]),
        (["--all", "--policy", "rundom", "--plan"], ["unknown policy", "did you mean 'random'"]),
        (["--all", "--policy", "replay:no-such-run", "--plan"], ["no finished run no-such-run"]),
        (["--all", "--policy", "replay", "--plan"], ["replay:RUN"]),
        (
            ["--experiment", "e2e-imagenet", "--scale", "paper", "--quiet"],
            ["imagenet has not been read yet", "--data imagenet --source"],
        ),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_without_a_command_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "examples:" in capsys.readouterr().out


def test_list_names_figures_and_experiments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--json", "--scale", "smoke"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    found = {(row["kind"], row["id"]): row for row in rows}
    assert found["figure", "9b"]["evidence"] == "measured"
    assert "Figure 9B" in found["figure", "9b"]["place"]
    assert found["experiment", "breakdown"]["state"].startswith("0 of ")
    assert found["figure", "9b"]["state"] == "needs runs"
    assert main(["--list", "--scale", "paper", "--json"]) == 0
    paper = {row["id"]: row["state"] for row in json.loads(capsys.readouterr().out)["rows"]}
    assert paper["e2e-imagenet"] == "0 of 9 runs"
    assert main(["--list", "--scale", "smoke"]) == 0
    assert "breakdown" in capsys.readouterr().out


def test_plan_says_what_would_run_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--plan", "--figure", "9B", "--scale", "smoke", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    assert {"cerebro-standalone", "ctq"} <= {run["spec"]["approach"] for run in runs}
    assert {run["state"] for run in runs} == {"missing"}
    assert {run["reason"] for run in runs} == {"has not been run"}
    assert main(["--plan", "--experiment", "breakdown", "--scale", "smoke"]) == 0
    assert f"{len(runs)} of {len(runs)} runs to do" in capsys.readouterr().out


def test_what_is_left_out_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    [absent] = [each for each in left_out("e2e-criteo", "paper") if each.approach == "pytorch-ddp"]
    asked = ["--plan", "--experiment", "e2e-criteo", "--scale", "paper"]
    assert main([*asked, "--json"]) == 0
    runs = {run["run"]: run for run in json.loads(capsys.readouterr().out)}
    told = runs["e2e-criteo-pytorch-ddp-paper"]
    assert (told["state"], told["reason"]) == ("left out", absent.reason)
    would_run = {run["spec"]["approach"] for run in runs.values() if "spec" in run}
    assert "ctq" in would_run
    assert "pytorch-ddp" not in would_run
    assert main(asked) == 0
    assert absent.reason in capsys.readouterr().out
    assert main(["--list", "--scale", "paper"]) == 0
    assert f"without PyTorchDDP: {absent.reason}" in capsys.readouterr().out
    assert main(["--plan", "--experiment", "e2e-criteo", "--scale", "laptop", "--json"]) == 0
    assert "pytorch-ddp" in {r["spec"]["approach"] for r in json.loads(capsys.readouterr().out)}


def test_repeats_are_runs_with_other_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--plan", "--experiment", "breakdown", "--scale", "smoke", "--json"]
    assert main([*asked, "--seed", "7", "--repeat", "3"]) == 0
    runs = json.loads(capsys.readouterr().out)
    of_ctq = [run["spec"]["seed"] for run in runs if run["spec"]["approach"] == "ctq"]
    assert of_ctq == [7, 8, 9]


def test_a_figure_that_fails_does_not_keep_the_others_from_being_built(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(name: str, *_: object) -> list[str]:
        if name == "9b":
            raise ReproduceError("9b.ipynb: cell 5 failed")
        return [f"{name}.png"]

    monkeypatch.setattr(reproduce, "_build", build)
    options = Namespace(json=False, quiet=True, scale="smoke", all=False)
    with pytest.raises(ReproduceError, match=r"^figure 9b: 9b\.ipynb: cell 5 failed$"):
        reproduce.reproduce([], ["9a", "9b", "9c"], options)
    assert capsys.readouterr().out == "9a.png\n9c.png\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.4, "8 s"), (125, "2 min 05 s"), (12_000, "3 h 20 min")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_clean_asks_and_takes_silence_for_a_mistake(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    monkeypatch.setenv("CEREBRO_DS_HOME", str(tmp_path / "home"))
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["--clean"]) == 2
    assert "add --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert main(["--clean"]) == 0
    assert run.exists()
    assert main(["--clean", "--yes"]) == 0
    assert not run.exists()
    assert main(["--clean", "--yes"]) == 0
    assert "nothing to clean" in capsys.readouterr().out


def test_a_full_disk_under_the_output_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "/some/file")

    monkeypatch.setattr("experiments.cli.listing.render_plan", full)
    assert main(["--plan"]) == 2
    assert capsys.readouterr().err == "error: /some/file: No space left on device\n"
