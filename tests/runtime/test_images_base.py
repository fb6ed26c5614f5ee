"""This machine's apt sources, as images get them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from experiments.runtime import image_base
from experiments.runtime.image_base import Source, apt_sources, sources

ONE_LINE = """
# deb http://old.example/debian bookworm main
deb [signed-by=/k.gpg] https://mirror.example/os/debian/ bookworm main contrib
deb-src https://mirror.example/os/debian bookworm main
deb https://mirror.example/debian-security bookworm-security main
deb https://third.example/linux/debian bookworm stable
deb https://third.example/debian/12/prod bookworm main
deb https://third.example/debian bookworm-pgdg main
"""
DEB822 = """Types: deb deb-src
# a comment
URIs: http://deb.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /k.gpg

Types: deb-src
URIs: http://deb.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: file:///srv/debian
Suites: bookworm
Components: main
"""


def folder(root: Path, **files: str) -> Path:
    (root / "sources.list.d").mkdir()
    for name, text in files.items():
        (root / "sources.list.d" / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return root


def test_either_format_is_read_and_third_parties_are_left_out(tmp_path: Path) -> None:
    found = sources(folder(tmp_path, a_list=ONE_LINE, b_sources=DEB822))
    assert found == [
        Source("https", "mirror.example/os/debian", "bookworm"),
        Source("https", "mirror.example/debian-security", "bookworm-security"),
        Source("http", "deb.example/debian", "bookworm"),
        Source("http", "deb.example/debian", "bookworm-updates"),
    ]
    assert found[0].host == "mirror.example"


def test_an_image_asks_the_relay_which_is_plain_http(tmp_path: Path) -> None:
    text = apt_sources(sources(folder(tmp_path, a_list=ONE_LINE)))
    assert text.count("Types: deb\n") == 2
    assert "URIs: http://mirror.example/os/debian\nSuites: bookworm\nComponents: main\n" in text
    assert "https" not in text


def test_a_source_with_a_password_is_left_out(tmp_path: Path) -> None:
    secret = "deb https://me:secret@mirror.example/debian bookworm main\n"
    assert sources(folder(tmp_path, a_list=secret)) == []


def test_another_system_has_none(tmp_path: Path) -> None:
    other = "deb http://archive.example/ubuntu noble main\n"
    security = "deb http://mirror.example/debian-security bookworm-security main\n"
    assert sources(folder(tmp_path, a_list=other + security)) == []
    assert sources(tmp_path / "nowhere") == []


class Registry:
    """An engine without Debian, whose registry does not answer."""

    def __init__(self, refusal: Exception) -> None:
        self.api = self.images = self
        self.refusal, self.timeout, self.made = refusal, 60, False
        self.asked: list[tuple[str, int]] = []

    def inspect_image(self, name: str) -> dict[str, str]:
        if not self.made:
            raise docker.errors.ImageNotFound("no such image")
        return {"Id": "sha256:debian"}

    def pull(self, name: str) -> None:
        self.asked.append((name, self.timeout))
        raise self.refusal


@pytest.mark.parametrize(
    "refusal",
    [docker.errors.APIError("no such host"), requests.ReadTimeout("nobody answers")],
)
def test_where_no_registry_answers_debian_is_made_once(
    refusal: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, said = Registry(refusal), list[str]()

    def bootstrap(client: Any, proxy: str) -> None:
        client.made = True

    monkeypatch.setattr(image_base, "_bootstrap", bootstrap)
    for _ in range(2):
        assert (
            image_base.ensure_debian(client, "http://127.0.0.1:1", said.append) == "sha256:debian"
        )
    assert client.asked == [("debian:bookworm-slim", 20)]
    assert client.timeout == 60
    assert said[-1] == "No registry answers: making Debian with debootstrap"
