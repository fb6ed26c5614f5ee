"""Secrets: readable by nobody else, a password that stays, a TLS identity that works."""

from __future__ import annotations

import ipaddress
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from experiments.errors import EnvironmentFault
from experiments.runtime.secrets import make_secrets
from experiments.specs.secrets import Secrets


@pytest.fixture
def made(tmp_path: Path) -> Secrets:
    before = os.umask(0)
    try:
        return make_secrets(tmp_path / "secrets", ["127.0.0.1", "node-a.example"])
    finally:
        os.umask(before)


def test_nobody_else_can_read_them(made: Secrets) -> None:
    assert made.folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in made.folder.iterdir()}
    assert modes == dict.fromkeys(
        ["password", "spark-secret", "tls-ca.pem", "tls-cert.pem", "tls-key.pem"], 0o600
    )


def test_a_folder_that_was_open_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o755)
    make_secrets(folder, [])
    assert folder.stat().st_mode & 0o777 == 0o700


def test_made_again_the_password_stays_and_the_identity_is_new(made: Secrets) -> None:
    password, cert = made.password(), made.cert.read_bytes()
    make_secrets(made.folder, ["127.0.0.1"])
    assert made.password() == password
    assert made.cert.read_bytes() != cert


def test_passwords_differ(made: Secrets, tmp_path: Path) -> None:
    other = make_secrets(tmp_path / "other", [])
    assert len(made.password()) >= 32
    assert other.password() != made.password()


def test_the_certificate_names_the_nodes_and_ends_soon(made: Secrets) -> None:
    certificate = x509.load_pem_x509_certificate(made.cert.read_bytes())
    authority = x509.load_pem_x509_certificate(made.ca.read_bytes())
    certificate.verify_directly_issued_by(authority)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "node-a.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=29) < left < timedelta(days=31)


def test_the_authority_cannot_sign_again(made: Secrets) -> None:
    holders = [path for path in made.folder.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert holders == [made.key]
    assert made.key.read_bytes().count(b"BEGIN") == 1
    certificate = x509.load_pem_x509_certificate(made.cert.read_bytes())
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not constraints.ca


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_both_ends_accept_each_other(made: Secrets, name: str) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in (server, client):
        context.load_cert_chain(made.cert, made.key)
        context.load_verify_locations(made.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    assert not waiting
    assert all(end.getpeercert() for end in ends)


def test_a_missing_or_empty_password_is_named(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    with pytest.raises(EnvironmentFault, match="password: cannot be read"):
        secrets.password()
    secrets.password_file.touch()
    with pytest.raises(EnvironmentFault, match="password: is empty"):
        secrets.password()
