"""What a build may reach through the relay, and what not."""

from __future__ import annotations

import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.errors import EnvironmentFault
from experiments.runtime.image_relay import HOST, relay


class Upstream(http.server.BaseHTTPRequestHandler):
    """A Debian mirror with one file, and a redirection to it."""

    def do_GET(self) -> None:
        body = b"Origin: Debian\n"
        if self.path.endswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "http://elsewhere.invalid/debian/pool/file")
            self.end_headers()
        elif self.path != "/debian/dists/Release":
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))  # in lower case, as HTTP allows
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def served(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "torch-2.0+cpu-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / ".hidden").write_bytes(b"secret")
    return folder


def get(proxy: str, url: str) -> tuple[int, bytes, str]:
    """Status, body and ``Content-Length`` of what the relay answers."""
    request = urllib.request.Request(url)
    request.set_proxy(proxy.removeprefix("http://"), "http")
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.HTTPHandler())
    with opener.open(request, timeout=10) as answer:
        return answer.status, answer.read(), answer.headers["Content-Length"] or ""


def test_serves_folders_under_a_name_that_is_nowhere_else(served: Path) -> None:
    with relay({"main": served}) as proxy:
        status, page, _ = get(proxy, f"http://{HOST}/main/")
        assert (status, page.count(b"<a ")) == (200, 1)
        assert b'href="torch-2.0%2Bcpu-py3-none-any.whl"' in page
        url = f"http://{HOST}/main/torch-2.0%2Bcpu-py3-none-any.whl"
        assert get(proxy, url) == (200, b"wheel", "5")


@pytest.mark.parametrize("path", ["main/../secret", "main/%2e%2e/secret", "main/.hidden", "x/", ""])
def test_serves_nothing_else(served: Path, path: str) -> None:
    with relay({"main": served}) as proxy:
        assert get(proxy, f"http://{HOST}/{path}")[0] == 404


def test_passes_on_what_apt_asks_for(mirror: str) -> None:
    with relay({}) as proxy:
        found = get(proxy, f"{mirror}/debian/dists/Release")
        assert found == (200, b"Origin: Debian\n", "15")
        assert get(proxy, f"{mirror}/debian/pool/missing.deb")[0] == 404
        assert get(proxy, f"{mirror}/debian/pool/moved")[0] == 302


def test_passes_on_nothing_else(mirror: str) -> None:
    with relay({}) as proxy:
        assert get(proxy, f"{mirror}/v2/")[0] == 403
        assert get(proxy, f"{mirror}/")[0] == 403


def test_a_mirror_that_does_not_answer_is_told(mirror: str) -> None:
    with relay({}) as proxy:
        status, page, _ = get(proxy, "http://127.0.0.1:9/debian/dists/Release")
        assert status == 502
        assert b"refused" in page


def test_a_certificate_bundle_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEREBRO_DS_CA", str(tmp_path / "ca.pem"))
    with pytest.raises(EnvironmentFault, match=r"CEREBRO_DS_CA=.*ca\.pem"), relay({}):
        pass
