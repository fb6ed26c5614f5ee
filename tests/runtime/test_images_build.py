"""Building images: what is missing, what is refused, and how it is said. No engine needed."""

from __future__ import annotations

import os
import socket
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest
import requests

from experiments.errors import DataError, EnvironmentFault, SpecError
from experiments.runtime import engine, image_build, image_greenplum, images
from experiments.runtime import image_names as names
from experiments.runtime.engine import faults

LOCAL = "http+docker://localhost"


class Engine:
    """As much of the Docker SDK as these tests ask.

    Parameters
    ----------
    held : ``{full name: revision label}``.
    """

    def __init__(self, held: Mapping[str, str], root: Path, url: str = LOCAL) -> None:
        self.held, self.root, self.api = held, root, self
        self.base_url = url

    def info(self) -> dict[str, str]:
        return {"DockerRootDir": str(self.root)}

    def inspect_image(self, name: str) -> dict[str, Any]:
        if name not in self.held:
            raise docker.errors.ImageNotFound("no such image")
        labels = {names.REVISION_LABEL: self.held[name]}
        return {"Id": f"sha256:{name}", "Config": {"Labels": labels}}


def held(*built: str) -> dict[str, str]:
    return {names.reference(image): names.tag(image) for image in built}


def test_what_is_missing_comes_in_the_order_of_building(tmp_path: Path) -> None:
    some = Engine(held("base", "spark"), tmp_path)
    assert images.missing(some, ["worker", "spark", "segment", "base"]) == ["segment", "worker"]
    assert images.missing(some, []) == []


def test_what_stands_is_not_built(tmp_path: Path) -> None:
    found = images.ensure(Engine(held("base", "worker"), tmp_path), ["worker"], pytest.fail)
    assert found == {"worker": f"sha256:{names.reference('worker')}"}


def test_base_is_built_before_what_stands_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, built = Engine({}, tmp_path), []

    def build(client: Engine, lacking: list[str], say: object) -> None:
        built.extend(lacking)
        client.held = held(*lacking)

    monkeypatch.setattr(image_build, "build", build)
    assert set(images.ensure(some, ["worker"], print)) == {"worker"}
    assert built == ["base", "worker"]


def test_an_image_of_another_revision_is_refused(tmp_path: Path) -> None:
    name = names.reference("worker")
    with pytest.raises(EnvironmentFault, match=r"of another revision .older.*docker rmi"):
        images.missing(Engine({name: "older"}, tmp_path), ["worker"])


def test_an_engine_elsewhere_builds_nothing(tmp_path: Path) -> None:
    remote = Engine({}, tmp_path, "http://node-3:2375")
    with pytest.raises(EnvironmentFault, match=r"this machine only.*--save.*--load"):
        image_build.build(remote, ["base"], pytest.fail)


def test_too_little_room_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=2, f_frsize=10**9))
    with pytest.raises(EnvironmentFault) as caught:
        image_build.build(Engine({}, tmp_path), names.IMAGES, pytest.fail)
    assert str(caught.value).startswith(f"2.0 GB are free in the Docker engine's folder {tmp_path}")


def test_room_in_a_folder_elsewhere_is_not_known(tmp_path: Path) -> None:
    assert engine.free_bytes(Engine({}, tmp_path, "http://node-3:2375")) is None
    assert engine.free_bytes(Engine({}, tmp_path / "gone")) is None
    assert engine.free_bytes(Engine({}, tmp_path)) is not None


def test_no_engine_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="no Docker engine answers at unix://") as caught:
        engine.connect(f"unix://{tmp_path}/none.sock")
    assert "\n" not in str(caught.value)


def test_a_socket_that_nobody_serves_is_no_engine(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(tmp_path / "dead.sock"))
    with pytest.raises(EnvironmentFault, match="no Docker engine answers"):
        engine.connect(f"unix://{tmp_path}/dead.sock")


def test_no_permission_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(
        EnvironmentFault, match=r"may not use the Docker engine.*usermod -aG docker"
    ):
        engine.connect("unix:///var/run/docker.sock")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("Err:1 x\nE: Unable to locate package y\nThe command z", "E: Unable to locate package y"),
        ("ERROR: THESE PACKAGES DO NOT MATCH\nThe command z", "ERROR: THESE PACKAGES DO NOT MATCH"),
        ("a : Depends: b but it is not installable\nE: broken", "a : Depends: b but it is not"),
        ("Traceback\nValueError: no\nThe command z", "ValueError: no"),
        ("something\nelse", "else"),
        ("", "no output"),
        ("write /x: no space left on device", "disk is full while it built worker"),
    ],
)
def test_a_failed_step_is_one_line(said: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = iter([{"stream": f"\x1b[91m{said}\x1b[0m\n"}, {"error": ""}])
    steps: list[str] = []
    with pytest.raises(EnvironmentFault) as caught:
        image_build._follow(stream, "worker", steps.append)
    assert line in str(caught.value)
    assert str(caught.value).endswith("worker.log)")
    assert "\n" not in str(caught.value)


def test_the_engine_that_fails_is_one_line() -> None:
    gone = requests.ConnectionError("gone")
    full = docker.errors.APIError("500", explanation="write /f: no space left on device")
    with (
        pytest.raises(EnvironmentFault, match="failed while it built x: gone"),
        faults("it built x"),
    ):
        raise gone
    with (
        pytest.raises(EnvironmentFault, match="disk is full while it built x"),
        faults("it built x"),
    ):
        raise full


def test_heavy_images_do_not_depend_on_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def members(image: str) -> set[str]:
        with tarfile.open(fileobj=image_build.context(image)) as archive:
            return {entry.name for entry in archive if entry.isfile()}

    assert members("base") <= {
        "Dockerfile",
        "locks/main.txt",
        "locks/torch-cuda.txt",
        "apt/sources.list.d/debian.sources",
    }
    code = {f"bundle/{name}" for name in names.bundle()}
    assert members("worker") == {"Dockerfile"} | code
    assert members("experiment") == {"Dockerfile", "locks/cerebro-dl.txt"} | code


def test_code_comes_last_and_images_share_lines() -> None:
    recipes = {image: text.decode() for image, text in names.recipes().items()}
    for image, text in recipes.items():
        rest = text.partition("COPY bundle/")[2]
        assert rest.count("\nRUN ") == (0 if image == "base" else 1)
        assert "\nUSER 10001:10001\n" in text
    java = recipes["spark"].partition("RUN mkdir")[2].partition("\n\n")[0]
    assert f"RUN mkdir{java}\n\n" in recipes["experiment"]


def test_labels_name_revision_version_and_locks() -> None:
    labels = image_build.labels("worker")
    assert labels[names.REVISION_LABEL] == names.revision()
    assert labels["org.opencontainers.image.version"] == "0.1.0"
    assert len(labels[names.LOCKS_LABEL]) == 64
    assert names.revision() not in image_build.labels("base").values()


class TestGreenplum:
    """Packages of the user's: a file and its checksum, or a line that says what is wrong."""

    SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

    @pytest.fixture
    def package(self, tmp_path: Path) -> Path:
        file = tmp_path / "greenplum-db-6.deb"
        file.write_bytes(b"test")
        return file

    def test_a_package_with_its_checksum(self, package: Path) -> None:
        given = image_greenplum.Given.checked(package, self.SHA.upper(), None, None)
        assert given is not None
        assert given.label == self.SHA

    def test_nothing_given(self) -> None:
        assert image_greenplum.Given.checked(None, None, None, None) is None

    def test_a_wrong_checksum(self, package: Path) -> None:
        with pytest.raises(DataError, match=f"SHA-256 {self.SHA}, not {'0' * 64}: download it"):
            image_greenplum.Given.checked(package, "0" * 64, None, None)

    @pytest.mark.parametrize("sha256", ["", "abc", f"{SHA}0"])
    def test_no_checksum_at_all(self, package: Path, sha256: str) -> None:
        with pytest.raises(SpecError, match="64 hexadecimal digits"):
            image_greenplum.Given.checked(package, sha256, None, None)

    def test_a_file_without_its_checksum(self, package: Path) -> None:
        with pytest.raises(SpecError, match="--greenplum FILE and --sha256 HEX go together"):
            image_greenplum.Given.checked(package, None, None, None)
        with pytest.raises(SpecError, match="--madlib FILE and --madlib-sha256 HEX go together"):
            image_greenplum.Given.checked(None, None, None, self.SHA)

    def test_madlib_alone(self, package: Path) -> None:
        with pytest.raises(SpecError, match="--madlib goes with --greenplum"):
            image_greenplum.Given.checked(None, None, package, self.SHA)

    def test_a_file_that_is_not_there_or_of_another_kind(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"none\.deb: No such file"):
            image_greenplum.Given.checked(tmp_path / "none.deb", self.SHA, None, None)
        with pytest.raises(SpecError, match=r"ends with \.deb"):
            image_greenplum.Given.checked(tmp_path / "gp.rpm", self.SHA, None, None)
