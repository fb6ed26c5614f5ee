"""The research-object crate (RO-Crate 1.1): ``artifacts/``, described by one file of JSON-LD.

The folder is the crate. Every run and every figure is a ``CreateAction`` that links what it was
made with (this software, a machine, container images by digest), from (data by the manifest of
its files, runs, the paper's values) and into (files, each with size and SHA-256).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from experiments.files import write_atomically
from experiments.paths import CITATION, Artifacts
from experiments.report import crate_files
from experiments.report.crate_files import Entity, described, read_object

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
VERSION = "https://w3id.org/ro/crate/1.1"
TERMS = {"sha256": "https://schema.org/sha256"}
"""That the context of RO-Crate 1.1 does not have yet."""

SOFTWARE = "#software"
NEVER = "1970-01-01T00:00:00+00:00"
"""When a crate without runs was published: a crate of the same files is the same file."""


@dataclass(frozen=True)
class Software:
    """What made the artifacts.

    Attributes
    ----------
    version : of the bundle.
    revision : digest of its code, notebooks and locks.
    """

    version: str
    revision: str


def write(software: Software, artifacts: Artifacts | None = None, *, models: bool = False) -> int:
    """Describe all finished runs and built figures; how many files the crate has.

    Parameters
    ----------
    models : with the trained models.

    Raises
    ------
    DataError
        A run's file is damaged.
    """
    artifacts = artifacts or Artifacts()
    crate_files.copy_inputs(artifacts)
    graph = _Graph(artifacts)
    paper = graph.add(_paper())
    graph.add(_software(software, paper))
    for path in sorted(artifacts.provenance.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            graph.file(path)
    _add_licences(graph, artifacts)
    last = NEVER
    for run in crate_files.finished(artifacts):
        result = read_object(run.result)
        last = max(last, str(result.get("finished", NEVER)))
        _add_run(graph, run, result, models=models)
    for scale, files, runs in crate_files.built(artifacts):
        _add_figure(graph, scale, files, runs)
    for path in sorted(artifacts.report.glob("*")):
        if path.is_file() and not path.name.startswith("."):
            graph.file(path)
    text = json.dumps(graph.document(last, paper), indent=1, sort_keys=True)
    write_atomically(artifacts.crate, text + "\n")
    return graph.files


class _Graph:
    """The crate's entities, each once."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts
        self._entities: dict[str, Entity] = {}
        self._parts: list[str] = []

    @property
    def files(self) -> int:
        return sum(each["@type"] == "File" for each in self._entities.values())

    def add(self, entity: Entity) -> str:
        """An entity that is no file; its id."""
        self._entities.setdefault(entity["@id"], entity)
        return str(entity["@id"])

    def file(self, path: Any, *, part: bool = True) -> str:
        """A file of the crate; its id.

        Parameters
        ----------
        part : of the crate itself, and not of a folder that is described.
        """
        name = path.relative_to(self.artifacts.root).as_posix()
        if name not in self._entities:
            self._entities[name] = described(path, self.artifacts.root)
            if part:
                self._parts.append(name)
        return str(name)

    def folder(self, entity: Entity) -> str:
        self._parts.append(entity["@id"])
        return self.add(entity)

    def has(self, name: str) -> bool:
        return name in self._entities

    def get(self, name: str) -> Entity:
        return self._entities[name]

    def document(self, published: str, paper: str) -> Entity:
        """All of it, as JSON-LD."""
        actions = [name for name, each in self._entities.items() if each["@type"] == "CreateAction"]
        root = {
            "@id": "./",
            "@type": "Dataset",
            "name": "Runs and figures of the Cerebro-DS reproducibility bundle",
            "description": "Journals of every run, the figures and tables drawn from them, and "
            "what they were made with, to reproduce a paper on deep learning on data systems.",
            "datePublished": published,
            "license": ref("https://spdx.org/licenses/Apache-2.0"),
            "citation": ref(paper),
            "hasPart": refs(self._parts),
            "mentions": refs(actions),
        }
        descriptor = {
            "@id": self.artifacts.crate.name,
            "@type": "CreativeWork",
            "conformsTo": ref(VERSION),
            "about": ref("./"),
        }
        return {
            "@context": [CONTEXT, TERMS],
            "@graph": [descriptor, root, *self._entities.values()],
        }


def ref(name: str) -> Entity:
    """A link to an entity."""
    return {"@id": name}


def refs(names: Iterable[str]) -> list[Entity]:
    return [ref(name) for name in names]


def _add_run(graph: _Graph, run: Any, result: Entity, *, models: bool) -> None:
    record = read_object(run.run)
    spec = result["spec"]
    paths = crate_files.of_run(run, models=models)
    files = [graph.file(path, part=False) for path in paths]
    name = f"runs/{run.root.name}/"
    graph.folder(
        {
            "@id": name,
            "@type": "Dataset",
            "name": run.root.name,
            "description": f"{spec['experiment']} by {spec['approach']} on {spec['workers']} "
            f"workers, {spec['scale']} scale, seed {spec['seed']}: {result.get('evidence')}",
            "hasPart": refs(files),
        }
    )
    manifest = f"provenance/{crate_files.manifest_name(result)}"
    inputs = [manifest] if graph.has(manifest) else []
    graph.add(
        {
            "@id": f"#run-{run.root.name}",
            "@type": "CreateAction",
            "name": f"Run {run.root.name}",
            "startTime": record.get("started"),
            "endTime": result.get("finished"),
            "instrument": refs([SOFTWARE, *_machine(graph, record), *_images(graph, record)]),
            "object": refs([*inputs, "provenance/locks/main.txt"]),
            "result": ref(name),
        }
    )


def _add_figure(graph: _Graph, scale: str, files: Any, runs: list[str]) -> None:
    executed = graph.artifacts.notebooks(scale) / f"{files.figure_id}.ipynb"
    outputs = [graph.file(path) for path in (*files.outputs, files.sidecar)]
    if executed.is_file():
        outputs.append(graph.file(executed))
    folders = [f"runs/{name}/" for name in runs]
    graph.add(
        {
            "@id": f"#figure-{scale}-{files.figure_id}",
            "@type": "CreateAction",
            "name": f"Figure {files.figure_id}, {scale} scale",
            "instrument": ref(SOFTWARE),
            "object": refs([*filter(graph.has, folders), "provenance/paper.json"]),
            "result": refs(outputs),
        }
    )


def _machine(graph: _Graph, record: Entity) -> list[str]:
    machine = record.get("machine")
    if not machine:
        return []
    gib = round(machine.get("memory_bytes", 0) / 2**30)
    devices = ", ".join(sorted({str(each) for each in machine.get("devices", ())}))
    name = f"{machine['cores']} cores, {gib} GiB, {machine['system']}, trains on {devices}"
    ident = "#machine-" + "".join(each if each.isalnum() else "-" for each in name)
    return [graph.add({"@id": ident, "@type": "Thing", "name": name})]


def _images(graph: _Graph, record: Entity) -> list[str]:
    """Container images by digest, each with the roles that it carried."""
    roles: dict[str, list[str]] = {}
    for role, digest in record.get("runtime", {}).get("images", {}).items():
        roles.setdefault(str(digest), []).append(role)
    return [
        graph.add(
            {
                "@id": f"#image-{digest.replace(':', '-')}",
                "@type": "SoftwareApplication",
                "name": f"container image of {', '.join(sorted(carried))}",
                "identifier": digest,
            }
        )
        for digest, carried in sorted(roles.items())
    ]


def _add_licences(graph: _Graph, artifacts: Artifacts) -> None:
    """Ours, and each data set's as its manifest tells it."""
    graph.add(
        {
            "@id": "https://spdx.org/licenses/Apache-2.0",
            "@type": "CreativeWork",
            "name": "Apache License 2.0",
        }
    )
    for path in sorted(artifacts.provenance.glob("datasets/*.json")):
        manifest = read_object(path)
        text = str(manifest.get("licence", "not stated"))
        ident = "#licence-" + "".join(each if each.isalnum() else "-" for each in text)
        licence = graph.add({"@id": ident, "@type": "CreativeWork", "name": text})
        entity = graph.get(graph.file(path))
        entity["license"] = ref(licence)
        entity["description"] = str(manifest.get("source", ""))


def _software(software: Software, paper: str) -> Entity:
    return {
        "@id": SOFTWARE,
        "@type": "SoftwareApplication",
        "name": "Cerebro-DS reproducibility bundle",
        "softwareVersion": software.version,
        "identifier": software.revision,
        "license": ref("https://spdx.org/licenses/Apache-2.0"),
        "citation": ref(paper),
    }


def _paper() -> Entity:
    """The paper, as CITATION.cff has it."""
    said = yaml.safe_load(CITATION.read_text(encoding="utf-8"))["preferred-citation"]
    authors = [f"{each['given-names']} {each['family-names']}" for each in said["authors"]]
    return {
        "@id": "#paper",
        "@type": "ScholarlyArticle",
        "name": said["title"],
        "description": f"{', '.join(authors)}: {said['title']}. {said['journal']} {said['volume']}"
        f"({said['issue']}), {said['year']}",
    }
