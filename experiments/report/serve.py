"""``--serve``: the page on this machine's loopback address, with what runs are doing now.

Only GET, only names below ``artifacts/`` that the page links to, no listing of folders.
A request whose Host is another name than ours is refused: a page from elsewhere whose name was made
to lead here (DNS rebinding) reads nothing.
"""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from experiments.errors import EnvironmentFault, ReproduceError
from experiments.paths import Artifacts
from experiments.report import page, page_data
from experiments.report.live import LiveRuns
from experiments.report.page_data import PageData

ADDRESS = "127.0.0.1"
PAGE = "/report/"
LIVE = "/report/live.json"

KINDS: Mapping[str, str] = {
    ".csv": "text/csv; charset=utf-8",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".ipynb": "application/json",
    ".json": "application/json",
    ".jsonl": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
}
"""Files that are given, by the end of their name; nothing that a browser would run."""

ROOMS = ("figures", "notebooks", "runs", "report")
"""Folders of ``artifacts/`` that links lead into."""

_TIMEOUT_S = 30


class Report:
    """The page and what changes on it, made when somebody asks."""

    def __init__(self, scale: str, artifacts: Artifacts, runs: LiveRuns) -> None:
        self.artifacts = artifacts
        self._scale = scale
        self._runs = runs
        self._lock = threading.Lock()
        self._data: PageData | None = None
        self._version = ""

    def page(self) -> str:
        """The page as it is now; results are read again when there are new ones."""
        with self._lock:
            live = self._runs.look()
            if self._data is None or self._version != live.version:
                self._data = page_data.gather(self._scale, self.artifacts, {})
                self._version = live.version
            return page.render(self._data, self.artifacts, live)

    def news(self) -> str:
        """The parts that change, as JSON: HTML by element, and a word that tells new results."""
        with self._lock:
            live = self._runs.look()
        return json.dumps({"version": live.version, "parts": page.live_parts(live)})


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "cerebro-ds", ""
    timeout = _TIMEOUT_S
    server: _Server

    def do_GET(self) -> None:
        if self.headers.get("Host", "") not in self.server.names:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, b"another host\n")
            return
        path = unquote(urlsplit(self.path).path)
        report = self.server.report
        try:
            if path == "/":
                self._answer(HTTPStatus.FOUND, b"", headers={"Location": PAGE})
            elif path == PAGE:
                self._answer(HTTPStatus.OK, report.page().encode(), "text/html; charset=utf-8")
            elif path == LIVE:
                self._answer(HTTPStatus.OK, report.news().encode(), "application/json")
            else:
                self._file(path)
        except (ReproduceError, OSError) as error:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, f"{error}\n".encode())

    def _file(self, path: str) -> None:
        file = served_file(path, self.server.report.artifacts.root)
        if file is None:
            self._answer(HTTPStatus.NOT_FOUND, b"no such file\n")
        else:
            self._answer(HTTPStatus.OK, file.read_bytes(), KINDS[file.suffix])

    def _answer(
        self,
        status: HTTPStatus,
        body: bytes,
        kind: str = "text/plain; charset=utf-8",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        said = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Resource-Policy": "same-origin",
            **(headers or {}),
        }
        for name, value in said.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Requests are nobody's business."""


class _Server(ThreadingHTTPServer):
    """Listens on loopback only."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, report: Report) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.report = report
        self.names = {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error of ours."""


def served_file(path: str, root: Path) -> Path | None:
    """The file that a request's path means; None where it is none that is given."""
    parts = path.split("/")[1:]
    if len(parts) < 2 or parts[0] not in ROOMS or "\0" in path:
        return None
    if any(part in {"", ".", ".."} or part.startswith(".") for part in parts):
        return None
    file = root.joinpath(*parts)
    if file.suffix not in KINDS or not file.is_file():
        return None
    real = file.resolve()
    return real if real.is_relative_to(root.resolve()) else None


@contextmanager
def serving(port: int, report: Report) -> Iterator[str]:
    """Serve in a thread until the end of the block; gives the page's address.

    Parameters
    ----------
    port : 0 takes a free one.

    Raises
    ------
    EnvironmentFault
        The port is taken, or this user may not have it.
    """
    try:
        server = _Server(port, report)
    except OSError as error:
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise EnvironmentFault(
            f"port {port} of {ADDRESS} {why}: give --serve another, or none for a free one"
        ) from None
    thread = threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True)
    thread.start()
    try:
        yield f"http://{ADDRESS}:{server.server_port}{PAGE}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
