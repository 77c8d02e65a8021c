"""A certificate authority, as RDS has one for each Region: its file is for clients.

"Using TLS/SSL with Aurora MySQL DB clusters", Amazon Aurora User Guide. An authority stays in its
folder, so that a stack which was given its certificate can be deployed again; nobody else trusts
it. Certificates of servers are made anew at each start.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FILE = "rds-ca.pem"

_WITH_KEY = "rds-ca-and-key.pem"
_ISSUER = "Amazon RDS (rehearsal) Root CA"
_VALID = timedelta(days=3650)


def authority(folder: Path) -> Path:
    """Return the file with the certificate of the authority in *folder*, made where there is none.

    Several processes may ask at once: one of them makes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / _WITH_KEY
    if not kept.exists():
        with tempfile.NamedTemporaryFile(dir=folder) as made:  # readable to its owner alone
            made.write(_new_authority())
            made.flush()
            with suppress(FileExistsError):
                os.link(made.name, kept)
    certificate = _pem(x509.load_pem_x509_certificate(kept.read_bytes()))
    file = folder / FILE
    if not file.exists() or file.read_bytes() != certificate:
        aside = folder / f"{FILE}.{os.getpid()}"
        aside.write_bytes(certificate)
        aside.replace(file)  # at once: others may be reading it
    return file


def server_context(folder: Path, host: str, files: Path) -> ssl.SSLContext:
    """Return the TLS context of a server called *host*, by the authority in *folder*.

    Its own key and certificate are left in the folder *files*.
    """
    content = (folder / _WITH_KEY).read_bytes()
    signer = serialization.load_pem_private_key(content, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{folder / _WITH_KEY} holds no key that was made here; remove it")
    issuer = x509.load_pem_x509_certificate(content).subject
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(host), issuer, key.public_key(), signer)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .sign(signer, hashes.SHA256())
    )
    file = files / "server.pem"
    file.touch(mode=0o600)
    file.write_bytes(_private(key) + _pem(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # "Aurora MySQL version 3 supports TLS 1.2 and 1.3": the same page.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(file)
    return context


def _new_authority() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = _name(_ISSUER)
    certificate = (
        _builder(issuer, issuer, key.public_key(), key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _private(key) + _pem(certificate)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        # A clock that is set back a little must not make it invalid.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.IPAddress(ip_address("127.0.0.1"))]
    return [*names, *(x509.DNSName(name) for name in dict.fromkeys(("localhost", host)))]


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
