"""The ``greenplum`` image, from packages that the user brings."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import DataError, SpecError
from experiments.runtime import image_build, images
from experiments.runtime.image_names import BASE, GREENPLUM
from experiments.runtime.image_relay import relay

WHERE_FROM = """the greenplum image needs a package of Greenplum 6, which only you can bring:
  --greenplum PACKAGE.deb --sha256 HEX   from Broadcom's VMware Tanzu Greenplum downloads (with an
      account), or built from the archived open source: greenplum-db/gpdb, branch 6X_STABLE. It must
      install on Debian 12: a package for another system names libraries that are not there
  --madlib FILE --madlib-sha256 HEX      if wanted, the paper's fork of Apache MADlib: a .deb, or a
      .tar.gz of its source, for which ./configure and make -C build install are run
Everything runs without it: all figures use PostgreSQL 15 with this bundle's own extension, in the
image segment. Only the baseline of the original MADlib on Greenplum needs this image."""

GIVEN_LABEL = "cerebro-ds.given"
_PACKAGE, _SOURCE = ".deb", ".tar.gz"


@dataclass(frozen=True)
class Given:
    """The user's packages, their checksums compared; ``madlib`` is empty where none was given."""

    greenplum: Path
    sha256: str
    madlib: Path | None
    madlib_sha256: str

    @classmethod
    def checked(
        cls,
        greenplum: Path | None,
        sha256: str | None,
        madlib: Path | None,
        madlib_sha256: str | None,
    ) -> Given | None:
        """The files named on the command line; None if there is none.

        Raises
        ------
        SpecError
            A file without its checksum, a checksum without its file, or a file of another kind.
        DataError
            A file that is not there, or has another checksum.
        """
        _check(greenplum, sha256, "--greenplum", "--sha256", (_PACKAGE,))
        _check(madlib, madlib_sha256, "--madlib", "--madlib-sha256", (_PACKAGE, _SOURCE))
        if greenplum is None or sha256 is None:
            if madlib:
                raise SpecError("--madlib goes with --greenplum PACKAGE: MADlib is built on it")
            return None
        return cls(greenplum, sha256.lower(), madlib, (madlib_sha256 or "").lower())

    @property
    def label(self) -> str:
        """What tells one build from another; a label of the image."""
        return " ".join(filter(None, [self.sha256, self.madlib_sha256]))


def ensure(client: Any, given: Given, say: Callable[[str], None]) -> str:
    """Build the image unless it stands with just these packages; its id.

    Raises
    ------
    EnvironmentFault
        A package does not install; names the log.
    """
    images.ensure(client, [BASE], say)
    with image_build.alone(say), tempfile.TemporaryDirectory(prefix="cerebro-ds-given-") as scratch:
        held = images.identity(client, GREENPLUM)
        if held:
            labels = client.api.inspect_image(held)["Config"]["Labels"]
            if labels.get(GIVEN_LABEL) == given.label:
                return held
        arguments = {"GREENPLUM_SHA256": given.sha256}
        shutil.copyfile(given.greenplum, Path(scratch) / "greenplum.deb")
        if given.madlib:
            name = "madlib" + (_SOURCE if given.madlib.name.endswith(_SOURCE) else _PACKAGE)
            shutil.copyfile(given.madlib, Path(scratch) / name)
            arguments |= {"MADLIB": name, "MADLIB_SHA256": given.madlib_sha256}
        with relay({"given": Path(scratch)}, image_build.secure_hosts()) as proxy:
            title = f"Building {GREENPLUM}"
            return image_build.build_one(
                client,
                GREENPLUM,
                proxy,
                lambda text: say(f"{title}: {text}"),
                arguments,
                {GIVEN_LABEL: given.label},
            )


def _check(
    file: Path | None, sha256: str | None, option: str, checksum: str, kinds: tuple[str, ...]
) -> None:
    if file is None and sha256 is None:
        return
    if file is None or sha256 is None:
        raise SpecError(f"{option} FILE and {checksum} HEX go together: name both")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise SpecError(f"{checksum} {sha256}: a SHA-256 has 64 hexadecimal digits")
    if not file.name.endswith(kinds):
        raise SpecError(f"{option} {file}: expected a file that ends with {' or '.join(kinds)}")
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{option} {file}: {error.strerror}") from error
    if found != sha256.lower():
        raise DataError(f"{file} has the SHA-256 {found}, not {sha256}: download it again")
