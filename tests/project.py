"""A project's folder with the files that configurations name."""

from __future__ import annotations

from pathlib import Path

# A certificate of nobody, valid until 2126.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBkzCCATmgAwIBAgIUTi+svtIJCKNQJrJX4doYj2WkL/QwCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTQSBDQSBvZiBhIHJlaGVhcnNhbDAgFw0yNjExMjUxMTMzNTZa
GA8yMTI2MTEwMTExMzM1NlowHjEcMBoGA1UEAwwTQSBDQSBvZiBhIHJlaGVhcnNh
bDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABD+WVQ/yPC8EZ5x/R0RYX1hfoKYs
D0Qt9t3MgNysluZ3L6pmRRxURP3Rond9v5zxmNxox403mq7wks+BL3txK9+jUzBR
MB0GA1UdDgQWBBSeCZp0Y8eCUhRhfCOCplBrQGPErDAfBgNVHSMEGDAWgBSeCZp0
Y8eCUhRhfCOCplBrQGPErDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gA
MEUCIQCxqpU4jZNsVT+4xa4EadlVvNP4MGKkiRbXjAV7S1PaHgIgA9hwuJl+TdJs
q6DbfQs1MF7rcFPtyvtyYZ/f4JxCbhE=
-----END CERTIFICATE-----
"""


def with_certificates(root: Path) -> Path:
    """Return the folder after putting the certificates of the examples into it."""
    (root / "certs").mkdir(exist_ok=True)
    (root / "certs" / "eu-west-1-bundle.pem").write_text(CERTIFICATE, encoding="utf-8")
    return root
