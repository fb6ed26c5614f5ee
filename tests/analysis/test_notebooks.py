"""Notebooks run for real, fail in plain words, and are not run again without a reason."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from experiments.analysis import notebooks
from experiments.errors import DataError, ReproduceError, SpecError, UserError
from experiments.paths import NOTEBOOKS, Artifacts, RunFolder
from experiments.specs.load import figures
from experiments.telemetry.journal import Journal
from tests.analysis import end_to_end_runs
from tests.analysis.synthetic_runs import spec, two_approaches, write_result

QUICK = """
from pathlib import Path
import experiments.analysis
for suffix in ("png", "pdf", "csv"):
    (Path(out_dir) / f"quick.{suffix}").write_text(f"{scale} {len(runs)}")
"""


def write_notebook(path: Path, *cells: str) -> None:
    """A notebook of a heading, the parameters and these cells."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_markdown_cell("# heading"),
        nbformat.v4.new_code_cell(
            "scale, runs, out_dir = '', [], ''", metadata={"tags": ["parameters"]}
        ),
        *(nbformat.v4.new_code_cell(cell) for cell in cells),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture
def parameters(tmp_path: Path) -> notebooks.Parameters:
    return notebooks.Parameters(
        scale="smoke",
        runs=tuple(two_approaches(tmp_path / "runs")),
        artifacts=Artifacts(tmp_path / "artifacts"),
        notebooks=tmp_path / "notebooks",
    )


def test_9b_runs_from_beginning_to_end(parameters: notebooks.Parameters) -> None:
    real = replace(parameters, notebooks=NOTEBOOKS)
    files = notebooks.build("9b", real)
    assert files.folder == real.artifacts.figures("smoke")
    assert all(path.stat().st_size > 2000 for path in files.outputs)
    executed = nbformat.read(real.artifacts.notebooks("smoke") / "9b.ipynb", as_version=4)
    kinds = {
        kind
        for cell in executed.cells
        for result in cell.get("outputs", ())
        for kind in result.get("data", {})
    }
    assert {"image/png", "text/html"} <= kinds
    assert notebooks.why_stale("9b", real) is None


@pytest.mark.parametrize("figure_id", ["9a", "9c", "table6", "table6-etl", "2", "table3"])
def test_the_end_to_end_notebooks_run(parameters: notebooks.Parameters, figure_id: str) -> None:
    names = [each for each in figures()[figure_id].experiments if each in end_to_end_runs.DATASETS]
    folders = tuple(
        folder
        for name in names
        for folder in end_to_end_runs.experiment(
            parameters.runs[0].parent, name, epochs=2, of=("cerebro-standalone", "ma")
        )
    )
    real = replace(parameters, notebooks=NOTEBOOKS, runs=folders)
    files = notebooks.build(figure_id, real)
    assert all(path.stat().st_size > 500 for path in files.outputs)
    assert "not recorded" in files.csv.read_text() or figure_id != "table6"


@pytest.mark.parametrize("figure_id", figures())
def test_a_notebook_in_git_has_no_outputs_and_one_parameters_cell(figure_id: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / f"{figure_id}.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert sum("parameters" in cell.metadata.get("tags", ()) for cell in code) == 1


def test_a_failing_cell_is_named_with_its_error(parameters: notebooks.Parameters) -> None:
    source = parameters.source("broken")
    write_notebook(source, "first = 1", "raise ValueError('no such component')")
    with pytest.raises(ReproduceError) as caught:
        notebooks.build("broken", parameters)
    message = str(caught.value)
    assert f"{source}: cell 4 failed with ValueError: no such component" in message
    assert str(parameters.executed("broken")) in message
    assert "Traceback" not in message
    assert "\n" not in message
    assert not isinstance(caught.value, UserError)
    assert parameters.executed("broken").exists()
    assert not parameters.files("broken").sidecar.exists()


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        ("x = = 1", "SyntaxError: invalid syntax"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise ValueError('one\\n  two')", "ValueError: one two (executed"),
    ],
)
def test_whatever_fails_in_a_cell_is_told_in_one_line(
    parameters: notebooks.Parameters, cell: str, error: str
) -> None:
    write_notebook(parameters.source("broken"), cell)
    with pytest.raises(ReproduceError) as caught:
        notebooks.build("broken", parameters)
    assert f"broken.ipynb: cell 3 failed with {error}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_kernel_that_dies_is_an_error(
    parameters: notebooks.Parameters, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it says of its death is in a log, and not on the terminal."""
    write_notebook(parameters.source("dying"), "import os; os.write(2, b'last words'); os._exit(3)")
    with pytest.raises(ReproduceError, match="its kernel died") as caught:
        notebooks.build("dying", parameters)
    log = parameters.executed("dying").with_suffix(".log")
    assert str(log) in str(caught.value)
    assert log.read_text() == "last words"
    assert capfd.readouterr() == ("", "")
    write_notebook(parameters.source("dying"), QUICK.replace("quick", "dying"))
    notebooks.build("dying", parameters)
    assert not log.exists()


def test_what_a_notebook_says_it_reads_makes_its_figure_stale(
    parameters: notebooks.Parameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks, "CHECKOUT", tmp_path)
    source = parameters.source("quick")
    write_notebook(source, QUICK)
    reading = json.loads(source.read_text())
    reading["metadata"]["reads"] = ["data/*.txt"]
    source.write_text(json.dumps(reading))
    with pytest.raises(SpecError, match=r"quick\.ipynb: its metadata reads 'data/\*\.txt'"):
        notebooks.fingerprint("quick", parameters)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("1")
    before = notebooks.fingerprint("quick", parameters)
    (tmp_path / "data" / "a.txt").write_text("2")
    after = notebooks.fingerprint("quick", parameters)
    assert {part for part in after if after[part] != before[part]} == {"what it reads"}


def test_a_notebook_that_writes_no_figure_is_an_error(parameters: notebooks.Parameters) -> None:
    write_notebook(parameters.source("idle"), "pass")
    with pytest.raises(ReproduceError, match=r"without writing idle\.png, idle\.pdf, idle\.csv"):
        notebooks.build("idle", parameters)


def test_an_unknown_figure_is_a_user_error(parameters: notebooks.Parameters) -> None:
    with pytest.raises(SpecError, match="figure 77z"):
        notebooks.build("77z", parameters)


def test_an_unfinished_run_is_refused_before_anything_is_removed(
    parameters: notebooks.Parameters,
) -> None:
    write_notebook(parameters.source("quick"), QUICK)
    files = notebooks.build("quick", parameters)
    RunFolder(parameters.runs[0]).result.unlink()
    for call in (notebooks.build, notebooks.is_current):
        with pytest.raises(DataError, match="not finished"):
            call("quick", parameters)
    assert files.sidecar.exists()


def test_the_environment_is_left_as_it_was(
    parameters: notebooks.Parameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.delenv("JUPYTER_PREFER_ENV_PATH", raising=False)
    write_notebook(
        parameters.source("quick"),
        QUICK,
        "import os, sys\nassert os.environ['PYTHONPATH'].endswith(':/somewhere')",
        f"assert sys.executable == {sys.executable!r}",
    )
    notebooks.build("quick", parameters)
    assert os.environ["PYTHONPATH"] == "/somewhere"
    assert "JUPYTER_PREFER_ENV_PATH" not in os.environ


@pytest.fixture
def built(
    parameters: notebooks.Parameters, monkeypatch: pytest.MonkeyPatch
) -> notebooks.Parameters:
    """A figure that is built without a kernel."""
    write_notebook(parameters.source("quick"), QUICK)

    def execute(figure_id: str, told: notebooks.Parameters) -> None:
        for path in told.files(figure_id).outputs:
            path.write_text("made")

    monkeypatch.setattr(notebooks, "_execute", execute)
    notebooks.build("quick", parameters)
    return parameters


def test_a_figure_is_current_until_something_changes(built: notebooks.Parameters) -> None:
    assert notebooks.why_stale("quick", built) is None
    state = json.loads(built.files("quick").sidecar.read_text())
    assert state["figure"] == "quick"
    assert set(state["fingerprint"]["runs"]) == {folder.name for folder in built.runs}


def remeasure(built: notebooks.Parameters) -> None:
    with Journal(RunFolder(built.runs[0]).journal, built.runs[0].name) as journal:
        journal.append("run_finished")


def refinish(built: notebooks.Parameters) -> None:
    write_result(built.runs[0], spec(seed=99))


def reword(built: notebooks.Parameters) -> None:
    source = built.source("quick")
    source.write_text(source.read_text().replace("heading", "title"))


def damage(built: notebooks.Parameters) -> None:
    built.files("quick").sidecar.write_text("{")


def forget(built: notebooks.Parameters) -> None:
    built.files("quick").sidecar.unlink()


def lose(built: notebooks.Parameters) -> None:
    built.files("quick").pdf.unlink()


def retouch(built: notebooks.Parameters) -> None:
    built.files("quick").csv.write_text("nicer")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (remeasure, "changed: runs"),
        (refinish, "changed: runs"),
        (reword, "changed: notebook"),
        (damage, "quick.json is damaged"),
        (forget, "not built yet"),
        (lose, "quick.pdf is missing"),
        (retouch, "quick.csv is not what was written"),
    ],
)
def test_the_reason_for_a_rebuild_is_named(
    built: notebooks.Parameters, change: Callable[[notebooks.Parameters], None], reason: str
) -> None:
    change(built)
    assert notebooks.why_stale("quick", built) == reason
    assert not notebooks.is_current("quick", built)
    notebooks.build("quick", built)
    assert notebooks.is_current("quick", built)


def test_other_runs_make_the_figure_stale(built: notebooks.Parameters) -> None:
    fewer = replace(built, runs=built.runs[:1])
    assert notebooks.why_stale("quick", fewer) == "changed: runs"


def test_a_failed_build_leaves_nothing_that_looks_current(
    built: notebooks.Parameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(figure_id: str, told: notebooks.Parameters) -> None:
        raise ReproduceError(figure_id)

    monkeypatch.setattr(notebooks, "_execute", fail)
    with pytest.raises(ReproduceError):
        notebooks.build("quick", built)
    assert notebooks.why_stale("quick", built) == "not built yet"
