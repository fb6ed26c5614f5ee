"""Carrying images: what is saved is loaded, and anything else is refused before it is."""

from __future__ import annotations

import io
import json
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import DataError, EnvironmentFault
from experiments.runtime import image_archive as archive
from experiments.runtime import image_names as names
from experiments.runtime import images
from tests.runtime.engine import engine, needs_engine


class Nobody:
    """An engine that must not be asked."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"asked for {name}")


def written(folder: Path, **changes: object) -> Path:
    contents = {"revision": names.revision(), "bytes": 4, "sha256": "0" * 64, "images": {}}
    (folder / archive.CONTENTS).write_text(json.dumps(contents | changes), encoding="utf-8")
    (folder / archive.ARCHIVE).write_bytes(b"test")
    return folder


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"images\.tar is damaged: copy the folder again"):
        archive.load(Nobody(), written(tmp_path), print)
    with pytest.raises(DataError, match="is damaged"):
        archive.load(Nobody(), written(tmp_path, bytes=5), print)
    (tmp_path / archive.ARCHIVE).unlink()
    with pytest.raises(DataError, match=r"images\.tar: No such file"):
        archive.load(Nobody(), tmp_path, print)


def test_contents_that_are_missing_or_damaged_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="images/build --save wrote"):
        archive.load(Nobody(), tmp_path, print)
    for text in ("", "[]", '{"revision": "x"}'):
        (tmp_path / archive.CONTENTS).write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"images\.json is damaged"):
            archive.load(Nobody(), tmp_path, print)


def test_another_revision_is_refused_before_gigabytes_are_read(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="revision older and this checkout is"):
        archive.load(Nobody(), written(tmp_path, revision="older"), print)


@needs_engine
class TestWithAnEngine:
    """Two tiny images in the place of ours, under a name of their own."""

    @pytest.fixture
    def client(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        monkeypatch.setattr(names, "REPOSITORY", f"cerebro-ds-test-{secrets.token_hex(4)}")
        with engine() as client:
            for image in ("base", "worker"):
                self.make(client, image)
            yield client
            for image in ("base", "worker"):
                self.remove(client, image)

    def make(self, client: Any, image: str) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as files:
            entry = tarfile.TarInfo("name")
            entry.size = len(image)
            files.addfile(entry, io.BytesIO(image.encode()))
        repository, _, tag = names.reference(image).partition(":")
        labels = [f"LABEL {names.REVISION_LABEL}={names.tag(image)}"]
        client.api.import_image_from_data(
            packed.getvalue(), repository=repository, tag=tag, changes=labels
        )

    def remove(self, client: Any, image: str) -> None:
        if images.identity(client, image):
            client.api.remove_image(names.reference(image))

    def test_what_was_saved_is_loaded(self, client: Any, tmp_path: Path) -> None:
        built = images.ensure(client, ["base", "worker"], pytest.fail)
        saved = archive.save(client, ["base", "worker"], tmp_path / "new", print)
        assert {file.name for file in (tmp_path / "new").iterdir()} == {
            archive.ARCHIVE,
            archive.CONTENTS,
        }
        assert archive.load(client, tmp_path / "new", print) == saved
        for image in ("base", "worker"):
            self.remove(client, image)
        assert images.missing(client, ["base", "worker"]) == ["base", "worker"]
        assert archive.load(client, tmp_path / "new", print) == saved
        assert images.ensure(client, ["base", "worker"], pytest.fail) == built

    def test_what_is_missing_is_not_saved(self, client: Any, tmp_path: Path) -> None:
        with pytest.raises(EnvironmentFault, match="images/build --only segment spark"):
            archive.save(client, names.IMAGES[:4], tmp_path, print)
        assert not list(tmp_path.iterdir())
