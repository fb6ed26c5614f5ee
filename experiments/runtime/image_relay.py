"""What a build may reach: a proxy on this machine's loopback, there while images are built.

It serves folders of wheels and the user's packages under names that exist nowhere else, and passes
on what apt asks for, with this machine's own proxy settings and certificates. So neither a wheel,
nor an address, nor a certificate of the network ends up in a layer, and since Docker's builder
leaves proxy settings out of its cache, the port may be another each time.
"""

from __future__ import annotations

import http.server
import os
import shutil
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from experiments.errors import EnvironmentFault
from experiments.runtime.image_wheels import CA_VARIABLE

HOST = "wheels.invalid"
"""Where a build finds the folders; see ``images/*/Dockerfile``."""

_PASSED_ON = ("If-Modified-Since", "If-Range", "Range", "Accept", "User-Agent", "Cache-Control")
_PASSED_BACK = ("Content-Length", "Content-Type", "Content-Range", "Last-Modified", "Location")
_SECONDS = 60.0


@contextmanager
def relay(folders: Mapping[str, Path], secure: frozenset[str] = frozenset()) -> Iterator[str]:
    """Serve while the block runs; gives the address to set as ``http_proxy``.

    Parameters
    ----------
    folders : ``{first part of the path: folder}``, served as ``http://wheels.invalid/PART/FILE``.
    secure : hosts that this machine reaches by HTTPS, although builds ask for them by HTTP.

    Raises
    ------
    EnvironmentFault
        The certificates that ``$CEREBRO_DS_CA`` names cannot be read.
    """
    opener = _opener()

    class Handler(_Handler):
        served, upgraded, ask = folders, secure, opener

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The one who asked follows redirections, or does not."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    bundle = os.environ.get(CA_VARIABLE) or None
    try:
        context = ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise EnvironmentFault(
            f"{CA_VARIABLE}={bundle} is no bundle of certificates ({error.strerror}): name a file "
            "of certificates in PEM format"
        ) from error
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirect())


class _Handler(http.server.BaseHTTPRequestHandler):
    served: Mapping[str, Path]
    upgraded: frozenset[str]
    ask: urllib.request.OpenerDirector

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        if url.hostname == HOST:
            self._serve(urllib.parse.unquote(url.path))
        elif url.scheme == "http" and url.hostname and {"dists", "pool"} & {*url.path.split("/")}:
            scheme = "https" if url.hostname in self.upgraded else "http"
            self._pass_on(url._replace(scheme=scheme).geturl())
        else:
            self.send_error(403, "not for builds of images")

    def _serve(self, path: str) -> None:
        part, _, name = path.strip("/").partition("/")
        folder = self.served.get(part)
        if folder is None or "/" in name or name.startswith("."):
            self.send_error(404)
            return
        if not name:
            shown = (file.name for file in sorted(folder.iterdir()) if file.name[0] != ".")
            quoted = (urllib.parse.quote(name) for name in shown)
            page = "".join(f'<a href="{file}">{file}</a>\n' for file in quoted).encode()
            self._head(200, {"Content-Type": "text/html", "Content-Length": str(len(page))})
            self.wfile.write(page)
            return
        try:
            file = (folder / name).open("rb")
        except OSError:
            self.send_error(404)
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            self._head(200, {"Content-Type": "text/plain", "Content-Length": str(size)})
            shutil.copyfileobj(file, self.wfile, 1 << 20)

    def _pass_on(self, url: str) -> None:
        asked = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        try:
            with self.ask.open(urllib.request.Request(url, headers=asked), timeout=_SECONDS) as got:
                self._head(got.status, {n: v for n in _PASSED_BACK if (v := got.headers[n])})
                shutil.copyfileobj(got, self.wfile, 1 << 16)
        except urllib.error.HTTPError as answer:
            with answer:
                location = {n: v for n in ("Location",) if (v := answer.headers[n])}
                self._head(answer.code, {**location, "Content-Length": "0"})
        except OSError as error:
            self.send_error(502, str(getattr(error, "reason", error))[:200])

    def _head(self, code: int, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet: the build's own log tells what was fetched."""
