"""The crate is valid, has what figures are drawn from, and links what made what."""

from __future__ import annotations

import hashlib
import json
import socket
from typing import Any

import pytest

from experiments.errors import DataError
from experiments.paths import LOCKS, Artifacts, RunFolder
from experiments.report import crate, crate_check
from tests.report.conftest import SOFTWARE


def graph(artifacts: Artifacts) -> dict[str, dict[str, Any]]:
    document = json.loads(artifacts.crate.read_text())
    return {each["@id"]: each for each in document["@graph"]}


def ids(links: Any) -> set[str]:
    return {each["@id"] for each in (links if isinstance(links, list) else [links])}


def test_it_is_valid_without_a_network(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket, "create_connection", refused)
    assert crate_check.invalid(artifacts.root) == []
    assert list(crate_check.damaged(artifacts.root)) == []


@pytest.mark.parametrize("lacks", ["license", "name", "datePublished"])
def test_what_the_profile_requires_is_missed(artifacts: Artifacts, lacks: str) -> None:
    document = json.loads(artifacts.crate.read_text())
    (root,) = (each for each in document["@graph"] if each["@id"] == "./")
    del root[lacks]
    artifacts.crate.write_text(json.dumps(document))
    assert crate_check.invalid(artifacts.root)


def test_a_file_that_is_described_and_not_there_is_invalid(artifacts: Artifacts) -> None:
    (artifacts.provenance / "LICENSE").unlink()
    assert any("LICENSE" in line for line in crate_check.invalid(artifacts.root))
    assert list(crate_check.damaged(artifacts.root)) == ["provenance/LICENSE: missing"]


def test_it_has_what_figures_are_made_from_and_nothing_that_tells_of_hosts(
    artifacts: Artifacts,
) -> None:
    names = set(crate_check.described_files(artifacts.root))
    for run in ("ctq-1", "cerebro-standalone-1"):
        assert {
            f"runs/{run}/{name}" for name in ("run.json", "journal.jsonl", "result.json")
        } <= names
    assert {f"figures/smoke/tiny.{suffix}" for suffix in ("png", "pdf", "csv", "json")} <= names
    assert "notebooks/smoke/tiny.ipynb" in names
    locks = {f"provenance/locks/{lock.name}" for each in LOCKS.values() for lock in each}
    assert locks | {"provenance/CITATION.cff", "provenance/paper.json"} <= names
    for never in ("topology.json", "driver.log", ".state"):
        assert not [name for name in names if name.endswith(never)]
    crate.write(SOFTWARE, artifacts, models=True)
    assert "runs/ctq-1/models/0.state" in crate_check.described_files(artifacts.root)


def test_actions_link_software_machine_images_inputs_and_results(artifacts: Artifacts) -> None:
    found = graph(artifacts)
    run = found["#run-ctq-1"]
    instruments = [found[name] for name in ids(run["instrument"])]
    assert {"0123456789ab", "sha256:0a", "sha256:0b"} <= {
        each.get("identifier") for each in instruments
    }
    assert any(str(each["name"]).startswith("2 cores, 16 GiB") for each in instruments)
    manifest = f"provenance/datasets/fashion-mnist-{'d' * 16}.json"
    assert manifest in ids(run["object"])
    assert found[found[manifest]["license"]["@id"]]["name"] == "CC0"
    assert ids(run["result"]) == {"runs/ctq-1/"}
    figure = found["#figure-smoke-tiny"]
    assert {"runs/ctq-1/", "runs/cerebro-standalone-1/"} <= ids(figure["object"])
    assert "figures/smoke/tiny.csv" in ids(figure["result"])
    assert ids(found["./"]["mentions"]) == {
        "#run-ctq-1",
        "#run-cerebro-standalone-1",
        "#figure-smoke-tiny",
    }
    assert found["#paper"]["name"].startswith("Distributed Deep Learning on Data Systems")


def test_every_file_has_its_size_and_digest(artifacts: Artifacts) -> None:
    for name, entity in crate_check.described_files(artifacts.root).items():
        content = (artifacts.root / name).read_bytes()
        assert entity["contentSize"] == str(len(content))
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_same_artifacts_make_the_same_crate(artifacts: Artifacts) -> None:
    before = artifacts.crate.read_bytes()
    crate.write(SOFTWARE, artifacts)
    assert artifacts.crate.read_bytes() == before


def test_unfinished_runs_half_built_figures_and_links_stay_out(artifacts: Artifacts) -> None:
    RunFolder(artifacts.runs / "ctq-1").result.unlink()
    (artifacts.figures("smoke") / "tiny.pdf").unlink()
    other = artifacts.runs / "cerebro-standalone-1"
    (other / "link.json").symlink_to("/etc/hostname")
    (other / "folder").symlink_to("/etc")
    crate.write(SOFTWARE, artifacts)
    names = set(crate_check.described_files(artifacts.root))
    assert not [name for name in names if name.startswith(("runs/ctq-1", "figures/"))]
    assert not [name for name in names if "link" in name or "folder" in name]
    assert crate_check.invalid(artifacts.root) == []


def test_changes_are_found_and_named(artifacts: Artifacts) -> None:
    journal = artifacts.runs / "ctq-1" / "journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content[:-2] + b"!\n")
    assert list(crate_check.damaged(artifacts.root)) == [
        "runs/ctq-1/journal.jsonl: its SHA-256 is not the one described"
    ]
    journal.write_bytes(content[:-1])
    (line,) = crate_check.damaged(artifacts.root)
    assert f"{len(content) - 1} bytes, not {len(content)}" in line


def test_metadata_cannot_name_files_elsewhere(artifacts: Artifacts) -> None:
    document = json.loads(artifacts.crate.read_text())
    document["@graph"].append({"@id": "../../etc/passwd", "@type": "File"})
    artifacts.crate.write_text(json.dumps(document))
    with pytest.raises(DataError, match="is not in the crate"):
        crate_check.described_files(artifacts.root)
