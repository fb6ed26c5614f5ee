"""Builds a figure by running its notebook, and knows when it need not be built again.

The executed copy goes to ``artifacts/notebooks/<scale>/``, the figure's files to
``artifacts/figures/<scale>/``. Beside them ``<id>.json`` holds the fingerprint of everything the
figure was made from; it is removed before a build and written last, so a half-built figure is
never taken for a whole one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.analysis.names import FigureFiles
from experiments.analysis.runs import load, load_result
from experiments.errors import ReproduceError, SpecError
from experiments.files import write_atomically
from experiments.paths import CHECKOUT, NOTEBOOKS, PACKAGE, SPECS, Artifacts, RunFolder

_CODE = tuple(PACKAGE / room for room in ("analysis", "specs", "telemetry", "mop"))
_LIBRARIES = ("matplotlib", "pandas")
_CELL_TIMEOUT_S = 600


@dataclass(frozen=True)
class Parameters:
    """What a figure's notebook is told.

    Attributes
    ----------
    runs : folders of finished runs.
    artifacts : where the figure and the executed notebook go.
    notebooks : where the figure's notebook is.
    """

    scale: str
    runs: tuple[Path, ...]
    artifacts: Artifacts = field(default_factory=Artifacts)
    notebooks: Path = NOTEBOOKS

    @property
    def out_dir(self) -> Path:
        return self.artifacts.figures(self.scale)

    def source(self, figure_id: str) -> Path:
        return self.notebooks / f"{figure_id}.ipynb"

    def executed(self, figure_id: str) -> Path:
        return self.artifacts.notebooks(self.scale) / f"{figure_id}.ipynb"

    def files(self, figure_id: str) -> FigureFiles:
        return FigureFiles(figure_id, self.out_dir)


def build(figure_id: str, parameters: Parameters) -> FigureFiles:
    """Run the figure's notebook; the files it wrote.

    Raises
    ------
    SpecError
        There is no notebook for this figure.
    DataError
        One of the runs is not finished or its files are damaged; an earlier figure stays.
    ReproduceError
        A cell failed, or the notebook ended without writing the figure. The message names the
        notebook, the cell, the error, and where the executed copy is.
    """
    parts = fingerprint(figure_id, parameters)
    for folder in parameters.runs:
        load(folder)
    files = parameters.files(figure_id)
    for stale in (files.sidecar, *files.outputs):
        stale.unlink(missing_ok=True)
    parameters.out_dir.mkdir(parents=True, exist_ok=True)
    _execute(figure_id, parameters)
    missing = [path.name for path in files.outputs if not path.exists()]
    if missing:
        raise ReproduceError(
            f"{parameters.source(figure_id)}: ran to its end without writing {', '.join(missing)}"
        )
    state = {
        "figure": figure_id,
        "scale": parameters.scale,
        "fingerprint": parts,
        "outputs": {path.name: _hash([path]) for path in files.outputs},
    }
    write_atomically(files.sidecar, json.dumps(state, indent=2) + "\n")
    return files


def is_current(figure_id: str, parameters: Parameters) -> bool:
    """Whether the figure is there, whole, and made from exactly these inputs."""
    return why_stale(figure_id, parameters) is None


def why_stale(figure_id: str, parameters: Parameters) -> str | None:
    """What makes the figure need building, in words, or ``None`` if nothing does.

    Raises
    ------
    SpecError, DataError
        As :func:`build`.
    """
    parts = fingerprint(figure_id, parameters)
    files = parameters.files(figure_id)
    try:
        state = json.loads(files.sidecar.read_text(encoding="utf-8"))
        before, written = dict(state["fingerprint"]), dict(state["outputs"])
    except FileNotFoundError:
        return "not built yet"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{files.sidecar.name} is damaged"
    changed = [part for part in parts if parts[part] != before.get(part)]
    if changed:
        return f"changed: {', '.join(changed)}"
    for path in files.outputs:
        if not path.exists():
            return f"{path.name} is missing"
        if _hash([path]) != written.get(path.name):
            return f"{path.name} is not what was written"
    return None


def fingerprint(figure_id: str, parameters: Parameters) -> dict[str, Any]:
    """Everything that can change a figure, in named parts; JSON-able.

    ``runs`` holds each run's name and the hash of its result and journal, because ``--fresh``
    repeats a run under the same name. What else a notebook reads is named by patterns below the
    checkout, ``reads`` in its metadata.
    """
    source = parameters.source(figure_id)
    if not source.exists():
        raise SpecError(f"figure {figure_id}: there is no notebook {source}")
    return {
        "runs": {folder.name: _run_hash(folder) for folder in parameters.runs},
        "analysis": _hash(path for folder in _CODE for path in sorted(folder.glob("*.py"))),
        "approaches": _hash([SPECS / "approaches.toml"]),
        "notebook": _hash([source]),
        "what it reads": _hash(_read_beside(source)),
        "paper's values": _hash([Artifacts().reference]),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }


def _read_beside(source: Path) -> Iterator[Path]:
    for pattern in json.loads(source.read_text(encoding="utf-8"))["metadata"].get("reads", ()):
        found = sorted(CHECKOUT.glob(pattern))
        if not found:
            raise SpecError(f"{source}: its metadata reads {pattern!r}, and there is no such file")
        yield from found


def _run_hash(folder: Path) -> str:
    load_result(folder)
    names = RunFolder(folder)
    return _hash([names.result, names.journal])


def _hash(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        content = path.read_bytes() if path.exists() else b""
        total.update(f"{path.name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def _execute(figure_id: str, parameters: Parameters) -> None:
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    from experiments.analysis.kernel import manager_with_log

    source, executed = parameters.source(figure_id), parameters.executed(figure_id)
    executed.parent.mkdir(parents=True, exist_ok=True)
    log = executed.with_suffix(".log")
    injected = {
        "scale": parameters.scale,
        "runs": [str(folder.resolve()) for folder in parameters.runs],
        "out_dir": str(parameters.out_dir.resolve()),
    }
    try:
        with _kernel_environment() as private:
            papermill.execute_notebook(
                str(source),
                str(executed),
                parameters=injected,
                kernel_name="python3",
                language="python",
                cwd=str(CHECKOUT),
                progress_bar=False,
                log_output=False,
                execution_timeout=_CELL_TIMEOUT_S,
                kernel_manager_class=manager_with_log(log),
                # Its end interrupts it, and it would say so on the user's terminal.
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
                config=Config(
                    {
                        "KernelManager": {
                            "transport": "ipc",
                            "connection_file": str(private / "kernel.json"),
                        }
                    }
                ),
            )
    except PapermillExecutionError as error:
        cell = _cell_number(source, error.cell_index)
        what = " ".join(f"{error.ename}: {error.evalue}".split()).rstrip(": ")
        raise ReproduceError(
            f"{source}: cell {cell} failed with {what} (executed copy: {executed})"
        ) from None
    except CellTimeoutError:
        raise ReproduceError(
            f"{source}: a cell ran longer than {_CELL_TIMEOUT_S} s (executed copy: {executed})"
        ) from None
    except DeadKernelError:
        raise ReproduceError(
            f"{source}: its kernel died (executed copy: {executed}, its log: {log})"
        ) from None
    log.unlink()


def _cell_number(source: Path, executed_index: int) -> int:
    """The failed cell's number in the source, from 1; papermill adds one after ``parameters``."""
    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    for index, cell in enumerate(cells):
        if "parameters" in cell.get("metadata", {}).get("tags", ()):
            return executed_index + 1 - (executed_index > index)
    return executed_index


@contextlib.contextmanager
def _kernel_environment() -> Iterator[Path]:
    """What the kernel process inherits; gives a private folder for its sockets.

    This checkout is importable, the kernel is this environment's, and neither Jupyter nor IPython
    touches the user's home.
    """
    python_path = os.environ.get("PYTHONPATH")
    with tempfile.TemporaryDirectory(prefix="cerebro-ds-") as folder:
        settings = {
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *([python_path] if python_path else [])]),
            "JUPYTER_PREFER_ENV_PATH": "1",
            "JUPYTER_RUNTIME_DIR": folder,
            "IPYTHONDIR": folder,
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield Path(folder)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
