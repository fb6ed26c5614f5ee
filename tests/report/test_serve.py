"""``--serve``: what the server gives, and what it does not."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from experiments.cli.main import main
from experiments.cli.serving import expected_units
from experiments.errors import EnvironmentFault
from experiments.paths import CHECKOUT, Artifacts
from experiments.report.live import LiveRuns
from experiments.report.serve import Report, served_file, serving
from tests.analysis.synthetic_runs import spec
from tests.report.made_up import EVIL, begin, whole


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return whole(tmp_path / "artifacts")


@pytest.fixture
def port(artifacts: Artifacts) -> Iterator[int]:
    report = Report("smoke", artifacts, LiveRuns(artifacts, lambda _: None))
    with serving(0, report) as address:
        yield int(urlsplit(address).port or 0)


def ask(
    port: int, path: str, *, method: str = "GET", host: str | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_the_page_is_given_with_a_live_section(port: int) -> None:
    assert ask(port, "/")[1]["Location"] == "/report/"
    status, headers, body = ask(port, "/report/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert b'id="live-progress"' in body
    assert b"breakdown-ctq-smoke" in body


def test_news_are_escaped_html(artifacts: Artifacts, port: int) -> None:
    begin(artifacts.runs / "a-<b>", spec()).close()
    said = json.loads(ask(port, "/report/live.json")[2])
    assert {*said["parts"]} == {f"live-{n}" for n in ("progress", "workers", "resources", "log")}
    assert "a-&lt;b&gt;" in said["parts"]["live-progress"]
    assert "&lt;script&gt;" in said["parts"]["live-log"]
    assert EVIL not in said["parts"]["live-log"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/figures/smoke/9b.csv", "text/csv; charset=utf-8"),
        ("/figures/smoke/9b.pdf", "application/pdf"),
        ("/notebooks/smoke/9b.ipynb", "application/json"),
        ("/runs/breakdown-ctq-smoke/journal.jsonl", "text/plain; charset=utf-8"),
        ("/runs/breakdown-ctq-smoke/driver.log", "text/plain; charset=utf-8"),
    ],
)
def test_files_that_the_page_links_to_are_given(port: int, path: str, kind: str) -> None:
    status, headers, body = ask(port, path)
    assert (status, headers["Content-Type"]) == (200, kind)
    assert body


@pytest.mark.parametrize(
    "path",
    [
        "/figures/smoke/",
        "/figures/smoke",
        "/runs/breakdown-ctq-smoke/",
        "/runs/../../secret.csv",
        "/runs/%2e%2e/%2e%2e/secret.csv",
        "/runs/..%2f..%2fsecret.csv",
        "//secret.csv",
        "/secret.csv",
        "/runs/.hidden.csv",
        "/runs/link.csv",
        "/runs/page.html",
        "/runs/a%00.csv",
        "/figures/absent.csv",
    ],
)
def test_nothing_else_is(artifacts: Artifacts, port: int, path: str) -> None:
    root = artifacts.root
    for place in (root.parent, root):
        (place / "secret.csv").write_text("secret")
    (artifacts.runs / ".hidden.csv").write_text("secret")
    (artifacts.runs / "page.html").write_text("secret")
    (artifacts.runs / "link.csv").symlink_to(root.parent / "secret.csv")
    status, _, body = ask(port, path)
    assert status == 404
    assert b"secret" not in body


def test_a_link_within_the_folder_is_a_file_of_it(artifacts: Artifacts) -> None:
    (artifacts.runs / "inside.csv").symlink_to(artifacts.figures("smoke") / "9b.csv")
    assert served_file("/runs/inside.csv", artifacts.root) is not None


def test_other_names_for_this_host_are_refused(port: int) -> None:
    assert ask(port, "/report/", host=f"localhost:{port}")[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}"):
        status, _, body = ask(port, "/report/", host=host)
        assert (status, body) == (421, b"another host\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_only_get_is_answered(port: int, method: str) -> None:
    assert ask(port, "/report/", method=method)[0] == 501


def test_it_listens_on_loopback_only(port: int) -> None:
    """Of all addresses that the port could listen on, one is taken."""
    with socket.socket() as other:
        other.bind(("127.0.0.2", port))


def test_a_taken_port_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CEREBRO_DS_ARTIFACTS", str(tmp_path))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["--serve", str(port)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: port {port} of 127.0.0.1 is taken: give --serve another")
        artifacts = Artifacts(tmp_path)
        report = Report("smoke", artifacts, LiveRuns(artifacts, lambda _: None))
        with pytest.raises(EnvironmentFault), serving(port, report):
            pass


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_what_is_no_port_is_one_line(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--serve", port]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--serve" in line


def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    environment = {**os.environ, "CEREBRO_DS_ARTIFACTS": str(tmp_path), "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "experiments", "--serve", "--scale", "smoke"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("the report is at http://127.0.0.1:")
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


def test_units_that_a_run_will_have_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    begin(folder, spec()).close()
    assert expected_units(folder) == 8  # 2 models on 2 partitions, trained and evaluated
    assert expected_units(tmp_path) is None
