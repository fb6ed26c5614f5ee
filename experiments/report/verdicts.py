"""``verdicts.json``: verdicts with the settings and machines that they come from."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments.analysis.runs import Run, load
from experiments.errors import DataError
from experiments.files import write_atomically
from experiments.paths import RunFolder
from experiments.report.judge import judge
from experiments.report.verdict import Outcome, Verdict
from experiments.specs import claims as specs
from experiments.specs.claim import Claims


@dataclass(frozen=True)
class Judgement:
    """Everything that was judged at once.

    Attributes
    ----------
    made : when, in ISO form.
    settings : by name, every value that the runs behind it have, in order.
    """

    scale: str
    made: str
    verdicts: tuple[Verdict, ...]
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many verdicts each outcome has, all outcomes in their order."""
        found = Counter(verdict.outcome for verdict in self.verdicts)
        return {outcome: found[outcome] for outcome in Outcome}

    def to_json(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "made": self.made,
            "counts": {str(outcome): number for outcome, number in self.counts.items()},
            "settings": {name: list(values) for name, values in self.settings.items()},
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
        }


def of_folders(folders: Sequence[Path], scale: str, claims: Claims | None = None) -> Judgement:
    """Every claim judged on the finished runs in some folders, each read once.

    Raises
    ------
    DataError
        A run is not finished, or a file of one is damaged; the message names it.
    """
    runs = [load(folder) for folder in folders]
    return judgement(judge(claims or specs.load(), runs, scale=scale), runs, scale)


def judgement(verdicts: Sequence[Verdict], runs: Sequence[Run], scale: str) -> Judgement:
    """Verdicts, dated, with the settings of the runs that they were judged on.

    Raises
    ------
    DataError
        A run's ``run.json`` is damaged.
    """
    made = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Judgement(scale, made, tuple(verdicts), settings(runs))


def settings(runs: Iterable[Run]) -> Mapping[str, tuple[str, ...]]:
    """What another machine's runs may differ in: settings, machine and versions."""
    found: dict[str, set[str]] = {}
    for run in runs:
        spec = run.spec
        about = _object(RunFolder(run.folder).run)
        machine, runtime = about.get("machine", {}), about.get("runtime", {})
        rows = {
            f"workers of {spec.experiment}": spec.workers,
            f"data set of {spec.experiment}": spec.dataset.name,
            f"rows of {spec.experiment}": spec.dataset.train_rows,
            f"evidence of {spec.experiment}": run.shown,
            "protocol": str(spec.protocol),
            "seed": spec.seed,
            "runtime": runtime.get("kind"),
            "version of this bundle": about.get("version"),
            "system": machine.get("system"),
            "processor": machine.get("processor"),
            "cores": machine.get("cores"),
            "memory in GB": round(machine.get("memory_bytes", 0) / 1e9) or None,
            "devices": ", ".join(sorted({*machine.get("devices", ())})) or None,
            "python": about.get("python"),
            **about.get("packages", {}),
        }
        for name, value in rows.items():
            if value is not None:
                found.setdefault(name, set()).add(str(value))
    return {name: tuple(sorted(values)) for name, values in sorted(found.items())}


def write(path: Path, judged: Judgement) -> None:
    """Replace the file by these verdicts, whole or not at all.

    Raises
    ------
    EnvironmentFault
        It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(judged.to_json(), indent=1) + "\n")


def read(path: Path) -> Judgement:
    """The verdicts of a file.

    Raises
    ------
    DataError
        It is missing, damaged or holds something else.
    """
    data = _object(path)
    try:
        return Judgement(
            str(data["scale"]),
            str(data["made"]),
            tuple(_verdict(each) for each in data["verdicts"]),
            {name: tuple(values) for name, values in data.get("settings", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: holds no verdicts ({error!r})") from None


def _verdict(data: Mapping[str, Any]) -> Verdict:
    fields = dict(data)
    for name in ("evidence", "needs", "figures", "runs"):
        fields[name] = tuple(fields.get(name, ()))
    fields["outcome"] = Outcome(fields["outcome"])
    if fields.get("paper_outcome") is not None:
        fields["paper_outcome"] = Outcome(fields["paper_outcome"])
    protocols = fields.get("protocols", {})
    fields["protocols"] = {name: Outcome(outcome) for name, outcome in protocols.items()}
    return Verdict(**fields)


def _object(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if not isinstance(data, dict):
        raise DataError(f"{path}: holds a {type(data).__name__}, not an object")
    return data
