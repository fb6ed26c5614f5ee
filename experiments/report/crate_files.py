"""Which files of ``artifacts/`` belong to the research-object crate, and how each is described."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.analysis.names import FigureFiles
from experiments.errors import DataError
from experiments.files import write_atomically
from experiments.paths import CITATION, LICENSE, LOCKS, Artifacts, RunFolder, state

Entity = dict[str, Any]

FORMATS = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".png": "image/png",
    ".pdf": "application/pdf",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".parquet": "application/vnd.apache.parquet",
    ".cff": "application/yaml",
}
OTHER_FORMAT = "application/octet-stream"
TEXT_FORMAT = "text/plain"

_BLOCK = 2**20


def sha256(path: Path) -> str:
    """Of a file's bytes, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def described(path: Path, root: Path) -> Entity:
    """The crate's entity of a file: its path in the crate, size, digest and format."""
    plain = path.suffix in {"", ".txt"}
    return {
        "@id": path.relative_to(root).as_posix(),
        "@type": "File",
        "name": path.name,
        "contentSize": str(path.stat().st_size),
        "encodingFormat": FORMATS.get(path.suffix, TEXT_FORMAT if plain else OTHER_FORMAT),
        "sha256": sha256(path),
    }


def finished(artifacts: Artifacts) -> list[RunFolder]:
    """The runs that are done, by name."""
    folders = artifacts.runs.iterdir() if artifacts.runs.exists() else ()
    runs = (RunFolder(folder) for folder in sorted(folders) if not folder.is_symlink())
    return [run for run in runs if run.result.is_file() and run.run.is_file()]


def of_run(run: RunFolder, *, models: bool) -> list[Path]:
    """A run's files: all that its figures are made from, and what was measured beside.

    Addresses and folders of the machines (``topology.json``, where secrets are looked for, and the
    driver's log) stay where they are.

    Parameters
    ----------
    models : the trained models as well.
    """
    found = []
    for path in sorted(run.root.rglob("*")):
        inside = path.relative_to(run.root)
        hidden = any(part.startswith(".") for part in inside.parts)
        linked = path.is_symlink() or not path.resolve().is_relative_to(run.root.resolve())
        if hidden or linked or not path.is_file() or path in {run.topology, run.log}:
            continue
        if models or not path.is_relative_to(run.models):
            found.append(path)
    return found


def built(artifacts: Artifacts) -> Iterator[tuple[str, FigureFiles, list[str]]]:
    """Figures that are whole: scale, files, and the names of their runs."""
    folder = artifacts.root / "figures"
    for sidecar in sorted(folder.glob("*/*.json")):
        files = FigureFiles(sidecar.stem, sidecar.parent)
        try:
            said = json.loads(sidecar.read_text(encoding="utf-8"))
            written, runs = dict(said["outputs"]), list(said["fingerprint"]["runs"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if {path.name for path in files.outputs if path.is_file()} == set(written):
            yield sidecar.parent.name, files, runs


def manifest_of(result: dict[str, Any]) -> Path | None:
    """Where the manifest of a run's prepared data set is on this machine, if it is."""
    name, digest = result["spec"]["dataset"]["name"], str(result.get("dataset", ""))
    path = state().datasets / f"{name}-{digest[:16]}" / "manifest.json"
    return path if digest and path.is_file() else None


def copy_inputs(artifacts: Artifacts) -> None:
    """Put into the crate what lies elsewhere: licence, citation, locks, the paper's values, and the
    manifests (with the SHA-256 of every file) of the data that the runs trained on.

    A manifest that is no longer on this machine stays as an earlier call has copied it.
    """
    copies = {
        "LICENSE": LICENSE,
        "CITATION.cff": CITATION,
        "paper.json": artifacts.reference,
        **{f"locks/{lock.name}": lock for locks in LOCKS.values() for lock in locks},
    }
    for run in finished(artifacts):
        result = read_object(run.result)
        if source := manifest_of(result):
            copies[manifest_name(result)] = source
    for name, source in copies.items():
        target = artifacts.provenance / name
        target.parent.mkdir(parents=True, exist_ok=True)
        content = source.read_bytes()
        if not target.is_file() or target.read_bytes() != content:
            write_atomically(target, content)


def manifest_name(result: dict[str, Any]) -> str:
    """Of a run's data set below ``provenance/``."""
    spec = result["spec"]["dataset"]
    return f"datasets/{spec['name']}-{str(result.get('dataset', ''))[:16]}.json"


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; :class:`DataError` names a file that is none."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
