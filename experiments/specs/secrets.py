"""Names of a cluster's secrets, and the password among them."""

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

    def password(self) -> str:
        """The database superuser's password.

        Raises
        ------
        EnvironmentFault
            The file is missing, empty or not readable by this user.
        """
        try:
            text = self.password_file.read_text()
        except OSError as error:
            message = f"{self.password_file}: cannot be read ({error.strerror})"
            raise EnvironmentFault(message) from None
        if not text:
            raise EnvironmentFault(f"{self.password_file}: is empty")
        return text
