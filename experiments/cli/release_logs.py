"""``--from-release-logs``: the authors' own logs to tables and figures, with a summary in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.cli.bars import bar

FOLDER = "paper-logs"
"""Where the figures go, beside those of the scales."""

_SHOWN = 5


def from_release_logs(folder: Path, *, quiet: bool, as_json: bool) -> str:
    """Read the logs in a folder and write what they give; what was found, in words or as JSON.

    Raises
    ------
    DataError
        The folder is missing, empty, or holds no log of the release's.
    """
    from experiments.analysis import reference
    from experiments.analysis.release.reading import read_folder
    from experiments.analysis.release.rebuild import rebuild
    from experiments.paths import Artifacts
    from experiments.specs.release_logs import load

    spec = load()
    out_dir = Artifacts().figures(FOLDER)
    with bar(f"reading {folder}", quiet=quiet) as progress:
        logs = read_folder(folder.absolute(), spec, progress)
    made = rebuild(logs, spec, reference.load(), out_dir)
    kinds = Counter(found.kind for found, _ in logs.files)
    told: dict[str, Any] = {
        "files": dict(sorted(kinds.items())),
        "bytes": sum(found.bytes for found, _ in logs.files),
        "lines": sum(account.lines for _, account in logs.files),
        "damaged": sum(account.damaged for _, account in logs.files),
        "not_read": {found.shown: found.remark for found, _ in logs.files if found.remark},
        "unreadable_folders": list(logs.unreadable),
        "runs": len(logs.runs),
        "drawn": list(made.drawn),
        "missing": [{"what": what, "why": why} for what, why in made.missing],
        "out_dir": str(out_dir),
    }
    return json.dumps(told, indent=1) if as_json else "\n".join(_words(told))


def _words(told: dict[str, Any]) -> Iterator[str]:
    from experiments.analysis.release.rebuild import FIGURES

    kinds = ", ".join(f"{count:,} {kind}" for kind, count in told["files"].items())
    yield f"files: {kinds}; {told['bytes'] / 1e9:,.3g} GB, {told['lines']:,} lines"
    if told["damaged"]:
        yield f"damaged lines, left out: {told['damaged']:,} (listed in damaged.csv)"
    reasons = Counter(told["not_read"].values())
    for reason, count in reasons.most_common(_SHOWN):
        example = next(path for path, why in told["not_read"].items() if why == reason)
        yield f"not read: {count:,} ({reason}), {example} for one"
    for each in told["unreadable_folders"][:_SHOWN]:
        yield f"not looked into: {each}"
    yield f"runs: {told['runs']:,}"
    yield "drawn: " + (", ".join(FIGURES[each] for each in told["drawn"]) or "nothing")
    yield f"not to be had from this folder: {len(told['missing'])} things (missing.csv says why)"
    yield f"written to {told['out_dir']}"
