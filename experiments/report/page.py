"""The report as one self-contained page: rendered from what lies in ``artifacts/``, and written."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup

from experiments.files import write_atomically
from experiments.paths import TEMPLATES, Artifacts, RunFolder
from experiments.report import gantts, page_data, words
from experiments.report.figures_seen import link
from experiments.report.live import Live
from experiments.report.page_data import PageData
from experiments.specs.load import SCALES, approaches

LIVE_PARTS = ("progress", "workers", "resources", "log")
"""Macros of ``live_parts.html``; each fills an element ``live-NAME`` of the page."""


def write(scale: str, waiting: Mapping[str, str] | None = None) -> str:
    """Make the page of a scale from what there is; its path.

    Parameters
    ----------
    waiting : runs that were to be carried out and are not finished, and why they are to be.

    Raises
    ------
    EnvironmentFault
        It cannot be written; an earlier page stays.
    """
    artifacts = Artifacts()
    text = render(page_data.gather(scale, artifacts, waiting or {}), artifacts)
    artifacts.report.mkdir(parents=True, exist_ok=True)
    write_atomically(artifacts.page, text)
    return str(artifacts.page)


def render(data: PageData, artifacts: Artifacts, live: Live | None = None) -> str:
    """The page as HTML.

    Parameters
    ----------
    live : what experiments are doing, on a page that a server keeps up to date; else None.
    """
    script = _text("page.js") + (_text("live.js") if live else "")
    return (
        environment()
        .get_template("index.html")
        .render(
            data=data,
            live=live,
            live_names=LIVE_PARTS,
            journals={
                run.name: link(run.name, RunFolder(run.folder).journal, artifacts).address
                for run in data.runs
            },
            known={figure.id for figure in data.figures},
            titles={key: row.title for key, row in approaches().items()},
            scales=SCALES,
            style=Markup(_text("style.css")),
            script=Markup(script),
            policy=_policy(script, live=bool(live)),
        )
    )


def live_parts(live: Live) -> dict[str, str]:
    """What changes on a page while experiments run: HTML by the element that holds it."""
    parts: Any = environment().get_template("live_parts.html").module
    return {f"live-{name}": str(getattr(parts, name)(live)) for name in LIVE_PARTS}


@functools.cache
def environment() -> jinja2.Environment:
    """Templates in which every value is escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "column": words.column,
        "duration": words.duration,
        "short": words.short,
        "percent": words.percent,
        "gigabytes": words.gigabytes,
        "part": words.part_of,
        "spelled": lambda value: json.dumps(value, indent=1, ensure_ascii=False),
    }
    made.globals["wide"] = f"{gantts.WIDE:g}"
    return made


def _policy(script: str, *, live: bool) -> str:
    """What a browser may do for this page: run exactly our script, and ask nobody else."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    asked = "'self'" if live else "'none'"
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        f"img-src data:; connect-src {asked}; "
        "base-uri 'none'; form-action 'none'"
    )


def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
