"""A cluster's secrets: the database superuser's password, Spark's shared secret and one TLS
identity for all its roles.

The certificate authority exists only while :func:`make_secrets` runs; its key is never stored, so
nobody can issue a second certificate. Whoever holds the cluster's certificate may join it: as a
scheduler, a worker or a client. Only the user who starts the roles can read the folder; a database
role reads its password before it gives up root.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from experiments.files import write_atomically
from experiments.specs.secrets import Secrets

VALIDITY = timedelta(days=30)
CLOCK_SKEW = timedelta(minutes=10)


def make_secrets(folder: Path, addresses: Iterable[str]) -> Secrets:
    """Make a folder's secrets: TLS identity and Spark's, always new; a password, kept if there.

    A database remembers its password for as long as its data lives; the certificate is good for
    :data:`VALIDITY` from the start of the roles.

    Parameters
    ----------
    addresses : IP addresses or host names of the nodes.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    made = Secrets(folder)
    if not made.password_file.exists():
        _write(made.password_file, secrets.token_urlsafe(32).encode())
    _write(made.spark_file, secrets.token_urlsafe(32).encode())
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key, {*addresses, "localhost"}, authority, authority_key)
    _write(made.ca, authority.public_bytes(Encoding.PEM))
    _write(made.cert, certificate.public_bytes(Encoding.PEM))
    _write(made.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


def _write(path: Path, data: bytes) -> None:
    write_atomically(path, data, mode=0o600)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: str, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    subject = "cerebro-ds authority"
    return (
        _builder(subject, key.public_key())
        .issuer_name(_name(subject))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, SHA256())
    )


def _certificate(
    key: ec.EllipticCurvePrivateKey,
    addresses: set[str],
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _builder("cerebro-ds cluster", key.public_key())
        .issuer_name(authority.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(issuer, critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_alternative(name) for name in sorted(addresses)]),
            critical=False,
        )
        .sign(authority_key, SHA256())
    )


def _alternative(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)
