"""``images/build``: make the images of this checkout, list them, carry them.

Nothing outside the standard library is imported before the parser has been asked: the door shows
the help before the environment stands.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.cli.setup import Progress
from experiments.errors import SpecError

EXAMPLES = """
examples
  images/build                              what is missing of all images
  images/build --only worker spark          those, and base
  images/build --save /media/disk/images    and there, from the same checkout:
  images/build --load /media/disk/images
  images/build --torch cuda                 for nodes with GPUs, on a machine without one
  images/build --only greenplum --greenplum greenplum-db-6.deb --sha256 HEX

Where the network has its own certificate authority, set CEREBRO_DS_CA to its bundle; http_proxy and
https_proxy are respected. Exit codes: 0 done, 2 you can mend it, 130 interrupted.
"""


def parser() -> argparse.ArgumentParser:
    """The command line of ``images/build``."""
    made = argparse.ArgumentParser(
        prog="images/build",
        description="Build the Docker images of the roles; builds only what is missing.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = made.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="images, their state and size")
    what.add_argument("--save", type=Path, metavar="FOLDER", help="write them into a folder")
    what.add_argument("--load", type=Path, metavar="FOLDER", help="load what --save wrote")
    what.add_argument(
        "--prune", action="store_true", help="remove this bundle's images of other revisions"
    )
    made.add_argument("--only", nargs="+", metavar="IMAGE", help="these images alone")
    made.add_argument("--torch", choices=("cpu", "cuda"), help="instead of what this machine has")
    made.add_argument("--greenplum", type=Path, metavar="PACKAGE", help="Greenplum 6, a .deb")
    made.add_argument("--sha256", metavar="HEX", help="the package's checksum")
    made.add_argument(
        "--madlib", type=Path, metavar="FILE", help="MADlib's fork: a .deb, or a .tar.gz of source"
    )
    made.add_argument("--madlib-sha256", metavar="HEX", help="its checksum")
    made.add_argument("--quiet", action="store_true", help="no progress")
    return made


def command(arguments: Sequence[str]) -> int:
    """Carry out ``images/build``; the exit code.

    Raises
    ------
    UserError
        What the user can mend, in one line.
    """
    from experiments.runtime import image_names

    options = parser().parse_args(arguments)
    if options.torch:
        os.environ[image_names.TORCH_VARIABLE] = options.torch
    images = options.only or list(image_names.IMAGES)
    known = (*image_names.IMAGES, image_names.GREENPLUM)
    for image in images:
        if image not in known:
            raise SpecError(f"no image is called {image!r}: there are {', '.join(known)}")
    signal.signal(signal.SIGTERM, _interrupted)
    with _Ticking(Progress(options.quiet)) as progress:
        _carry_out(options, images, progress)
    return 0


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


class _Ticking:
    """Progress that repeats what it told last, so that the time goes on in steps that say nothing.

    Parameters
    ----------
    progress : what tells.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress, self._text = progress, ""
        self._over, self._one = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def tell(self, text: str) -> None:
        with self._one:
            self._text = text
            self._progress.tell(text)

    def done(self, text: str) -> None:
        """Tell the last line."""
        with self._one:
            self._text = ""
            self._progress.tell(text, always=True)

    def _tick(self) -> None:
        while not self._over.wait(1):
            with self._one:
                if self._text:
                    self._progress.tell(self._text)

    def __enter__(self) -> _Ticking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._text and self._progress.live and not self._progress.quiet:
            sys.stderr.write("\n")


def _carry_out(options: argparse.Namespace, images: list[str], progress: _Ticking) -> None:
    from experiments.runtime import image_archive, image_greenplum, image_names
    from experiments.runtime.engine import connect
    from experiments.runtime.images import ensure, prune

    given = image_greenplum.Given.checked(
        options.greenplum, options.sha256, options.madlib, options.madlib_sha256
    )
    if image_names.GREENPLUM in images and given is None and not (options.list or options.save):
        raise SpecError(image_greenplum.WHERE_FROM)
    client = connect()
    say: Callable[[str], None] = progress.tell
    if options.list:
        print(_listing(client, [*image_names.IMAGES, image_names.GREENPLUM]))
    elif options.save:
        contents = image_archive.save(client, images, options.save, say)
        progress.done(f"Saved {contents.bytes / 1e9:.1f} GB in {options.save}")
    elif options.load:
        contents = image_archive.load(client, options.load, say)
        progress.done(f"Loaded {len(contents.images)} images")
    elif options.prune:
        removed = prune(client, say)
        progress.done(f"Removed {len(removed)} images of other revisions")
    else:
        standard = [image for image in images if image != image_names.GREENPLUM]
        ensure(client, standard, say)
        if image_names.GREENPLUM in images and given is not None:
            image_greenplum.ensure(client, given, say)
        progress.done("The images stand")


def _listing(client: Any, images: Sequence[str]) -> str:
    from experiments.runtime.image_names import reference
    from experiments.runtime.images import identity

    rows = []
    for image in images:
        held = identity(client, image)
        size = client.api.inspect_image(held)["Size"] / 1e9 if held else 0.0
        rows.append(f"{reference(image):<36} {f'{size:.1f} GB  {held}' if held else 'missing'}")
    return "\n".join(rows)
