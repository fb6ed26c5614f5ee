"""Figures from their notebooks: in this process, or in a container where the runs were."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from experiments.analysis import notebooks
from experiments.errors import ReproduceError, SpecError, UserError
from experiments.runtime import choice, docker, engine, errand
from experiments.runtime.definitions import Bind
from experiments.runtime.started import USER_ERROR_STATUS, exit_text

COMMAND = "draw"


def draw(figure: str, parameters: notebooks.Parameters, runtime: str) -> None:
    """Build a figure, wherever its runs were carried out.

    Raises
    ------
    UserError, ReproduceError
        As :func:`experiments.analysis.notebooks.build`.
    """
    if runtime != choice.DOCKER:  # what a cluster left lies here
        notebooks.build(figure, parameters)
        return
    scale, artifacts = parameters.scale, parameters.artifacts
    for folder in (artifacts.figures(scale), artifacts.notebooks(scale)):
        folder.mkdir(parents=True, exist_ok=True)
        docker.own(folder)
    with closing(engine.connect()) as client:
        status, said = errand.run(
            client,
            [COMMAND, figure, scale, *map(str, parameters.runs)],
            binds=[
                Bind(artifacts.root),
                Bind(artifacts.figures(scale), writable=True),
                Bind(artifacts.notebooks(scale), writable=True),
            ],
            user=docker.user(),
            environment=docker.environment(),
        )
    if status == USER_ERROR_STATUS:
        raise UserError(_last(said, "error: "))
    if status:
        raise ReproduceError(_last(said, "failed: ") or f"it ended with {exit_text(status)}")


def _last(said: str, begins: str) -> str:
    """The last line that begins so, without its beginning."""
    told = [line for line in said.splitlines() if line.startswith(begins)]
    return told[-1].removeprefix(begins) if told else ""


def draw_command(arguments: Sequence[str]) -> int:
    """``draw FIGURE SCALE RUN_FOLDER ...``, the entry point of a notebook's container."""
    if len(arguments) < 2:
        raise SpecError("usage: python -m experiments draw FIGURE SCALE [RUN_FOLDER ...]")
    figure, scale, *folders = arguments
    notebooks.build(figure, notebooks.Parameters(scale, tuple(map(Path, folders))))
    return 0
