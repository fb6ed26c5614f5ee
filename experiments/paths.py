"""The only place that knows file names.

Two roots: the *checkout* (code, notebooks, ``artifacts/``) and the *state* folder, which an
unprivileged database server must be able to read even when the checkout lies in a home of mode
0700. ``reproduce.py`` chooses the state folder and passes it on in ``CEREBRO_DS_HOME``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGE = Path(__file__).resolve().parent
STATE_VARIABLE = "CEREBRO_DS_HOME"
ARTIFACTS_VARIABLE = "CEREBRO_DS_ARTIFACTS"
COMPILED_VARIABLE = "CEREBRO_DS_COMPILED"
"""Folder of what numba compiled, where the code's own folder cannot be written."""
MADE_VARIABLE = "CEREBRO_DS_MADE"
"""Folder of what is made from the checkout alone, in our images; else the state folder."""


def state_root() -> Path:
    """Folder for environments, data sets, clusters and model stores; outside the checkout.

    ``$CEREBRO_DS_HOME`` if set, ``/var/lib/cerebro-ds`` for root, else the user's cache folder.
    ``reproduce.py`` follows the same rule before this package can be imported.
    """
    chosen = os.environ.get(STATE_VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/cerebro-ds")
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "cerebro-ds"


@dataclass(frozen=True)
class State:
    """Names below the state folder."""

    root: Path

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def raw(self) -> Path:
        """The user's raw downloads, a folder each; never removed."""
        return self.root / "raw"

    @property
    def generated(self) -> Path:
        """Small archives of our own making in the formats of the downloads, a folder each."""
        return self.root / "generated"

    @property
    def ingested(self) -> Path:
        """Records made from raw downloads, a folder each."""
        return self.root / "ingested"

    @property
    def clusters(self) -> Path:
        return self.root / "clusters"

    @property
    def stores(self) -> Path:
        return self.root / "stores"

    def live(self, run: str) -> Path:
        """Samples of a run that goes on, a file per node; kept in its folder when it is done."""
        return self.stores / run / "telemetry"

    @property
    def made(self) -> Path:
        """Where environments, server trees and snapshots of the code are."""
        return Path(os.environ.get(MADE_VARIABLE) or self.root)

    @property
    def environments(self) -> Path:
        """Python environments, each named by its locks; ``reproduce.py`` makes them."""
        return self.made / "environments"

    def environment(self, name: str) -> Path:
        """The environment of these locks; a name of :data:`LOCKS`."""
        return self.environments / lock_digest(name)[:16]

    @property
    def servers(self) -> Path:
        """Relocated PostgreSQL server trees, one per revision of our extension."""
        return self.made / "servers"

    @property
    def code(self) -> Path:
        """Snapshots of this package that the database servers import."""
        return self.made / "code"

    @property
    def compiled(self) -> Path:
        """What numba compiled in containers."""
        return self.root / "compiled"

    @property
    def wheels(self) -> Path:
        """Python packages that images are built from, a folder for each environment's locks."""
        return self.root / "wheels"

    @property
    def images(self) -> Path:
        """Logs of the builds of images, and the lock of whoever builds."""
        return self.root / "images"

    @property
    def cluster(self) -> Path:
        """What ``--provision`` knows of the cluster it made: its topology, Ansible's artefacts."""
        return self.root / "cluster"

    @property
    def pilot(self) -> Path:
        """What ``--pilot`` has measured of this machine."""
        return self.root / "this-device.json"


def state() -> State:
    """The state folder of this process."""
    return State(state_root())


def lock_digest(environment: str) -> str:
    """SHA-256 of an environment's locks; its first 16 digits name the environment."""
    texts = [lock.read_bytes() for lock in LOCKS[environment]]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


def pin_roots() -> None:
    """Make relative roots absolute for the processes that this one starts in other folders."""
    for variable in (STATE_VARIABLE, ARTIFACTS_VARIABLE):
        if os.environ.get(variable):
            os.environ[variable] = str(Path(os.environ[variable]).absolute())


def artifacts_root() -> Path:
    """``$CEREBRO_DS_ARTIFACTS`` if set, else ``artifacts/`` in the checkout."""
    return Path(os.environ.get(ARTIFACTS_VARIABLE) or CHECKOUT / "artifacts").absolute()


@dataclass(frozen=True)
class Artifacts:
    """Names below ``artifacts/``: what runs leave behind, and the paper's values beside them."""

    root: Path = field(default_factory=artifacts_root)

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def reference(self) -> Path:
        return CHECKOUT / "artifacts" / "reference" / "paper.json"

    @property
    def report(self) -> Path:
        """What is made of all runs and figures together."""
        return self.root / "report"

    @property
    def page(self) -> Path:
        return self.report / "index.html"

    @property
    def verdicts(self) -> Path:
        return self.report / "verdicts.json"

    @property
    def predicted(self) -> Path:
        """What runs were expected to take, before they were carried out."""
        return self.report / "predicted.json"

    @property
    def crate(self) -> Path:
        """The research-object crate's metadata; the folder it lies in is the crate."""
        return self.root / "ro-crate-metadata.json"

    @property
    def provenance(self) -> Path:
        """Copies of what runs were made with: licence, citation, locks, manifests, values."""
        return self.root / "provenance"

    def figures(self, scale: str) -> Path:
        return self.root / "figures" / scale

    def notebooks(self, scale: str) -> Path:
        return self.root / "notebooks" / scale

    def run(self, name: str) -> RunFolder:
        return RunFolder(self.runs / name)


@dataclass(frozen=True)
class RunFolder:
    """Names inside one run's folder. No ``result.json`` means the run is not done."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "run.json"

    @property
    def journal(self) -> Path:
        return self.root / "journal.jsonl"

    @property
    def earlier(self) -> list[Path]:
        """Journals of starts that were interrupted and that the run could not go on from."""
        return sorted(self.root.glob("journal.*.jsonl"))

    @property
    def restarts(self) -> Path:
        """Roles that died and were started again; written by whoever runs the topology."""
        return self.root / "restarts.jsonl"

    @property
    def result(self) -> Path:
        return self.root / "result.json"

    @property
    def telemetry(self) -> Path:
        """Samples of what the run and its machines were doing, a file per node."""
        return self.root / "telemetry"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def trace(self) -> Path:
        """The run's spans for a trace viewer, beside the picture of the same name."""
        return self.root / "gantt.trace.json"

    @property
    def topology(self) -> Path:
        return self.root / "topology.json"

    @property
    def log(self) -> Path:
        return self.root / "driver.log"


_LOCKS = CHECKOUT / "images" / "locks"
MAIN_ENVIRONMENT, PACKAGE_ENVIRONMENT, ANSIBLE_ENVIRONMENT = "main", "cerebro-dl", "ansible"
LOCKS: Mapping[str, tuple[Path, ...]] = {
    MAIN_ENVIRONMENT: (_LOCKS / "main.txt", _LOCKS / "torch-cuda.txt"),
    PACKAGE_ENVIRONMENT: (_LOCKS / "cerebro-dl.txt",),
    ANSIBLE_ENVIRONMENT: (_LOCKS / "ansible.txt",),
}
"""The locks of every environment, the one that is always needed first."""
IMAGES = CHECKOUT / "images"
"""A folder with a ``Dockerfile`` for each image."""
ANSIBLE = CHECKOUT / "ansible"
"""Plays, roles and inventories."""
COMPLETE = "complete.json"
"""An environment's marker: it is there once the environment is whole."""
BENCHMARKS = CHECKOUT / "benchmarks"
NOTEBOOKS = CHECKOUT / "papermill_notebooks"
README = CHECKOUT / "README.md"
LICENSE = CHECKOUT / "LICENSE"
CITATION = CHECKOUT / "CITATION.cff"
APPENDIX = CHECKOUT / "docs" / "artifact.md"
"""For those who evaluate the artifact; its tables are made."""
TIMES = CHECKOUT / "docs" / "artifact.json"
"""What experiments took on one machine, for those tables."""
PICTURES = CHECKOUT / "docs" / "figures"
"""Small copies of the figures that README.md shows."""
SPECS = PACKAGE / "specs"
TEMPLATES = PACKAGE / "report" / "templates"
"""What the report's page is made of."""
EXTENSION = PACKAGE / "warehouse" / "extension"
