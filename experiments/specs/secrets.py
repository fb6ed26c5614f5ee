"""Names of a cluster's secrets, and the two among them that are texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.errors import EnvironmentFault


@dataclass(frozen=True)
class Secrets:
    """Names of the files in a secrets folder."""

    folder: Path

    @property
    def password_file(self) -> Path:
        return self.folder / "password"

    @property
    def ca(self) -> Path:
        return self.folder / "tls-ca.pem"

    @property
    def cert(self) -> Path:
        return self.folder / "tls-cert.pem"

    @property
    def key(self) -> Path:
        return self.folder / "tls-key.pem"

    @property
    def spark_file(self) -> Path:
        return self.folder / "spark-secret"

    def password(self) -> str:
        """The database superuser's password.

        Raises
        ------
        EnvironmentFault
            The file is missing, empty or not readable by this user.
        """
        return _text(self.password_file)

    def spark(self) -> str:
        """What Spark's processes prove to each other that they know; raises as ``password``."""
        return _text(self.spark_file)


def _text(path: Path) -> str:
    try:
        text = path.read_text()
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be read ({error.strerror})") from None
    if not text:
        raise EnvironmentFault(f"{path}: is empty")
    return text
