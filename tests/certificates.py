"""Certificates, valid on any day, made when a test wants one: a key kept in a repository would be nobody's secret."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# Only "openssl ca" takes the day on which a validity begins. nats-server ignores the faked day of tests/any_day.sh,
# and must find a certificate as valid as the tests that live on it do.
_SPAN = ("-startdate", "20200101000000Z", "-enddate", "21200101000000Z")
_CONFIG = """\
[ca]
default_ca = any
[any]
database = {index}
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
copy_extensions = copy
policy = names
[names]
commonName = supplied
"""


def certificate(folder: Path, name: str, *, by: str | None = None, span: tuple[str, ...] = _SPAN) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 and its key, `name`.pem and `name`.key in `folder`.

    `by` names the one there that signs it; without, it is an authority that signs itself. `span`: the options of
    "openssl ca" that say when it is valid.
    """
    made, key, order, index = (folder / f"{name}.{ending}" for ending in ("pem", "key", "csr", "index"))
    config = folder / f"{name}.cnf"
    config.write_text(_CONFIG.format(index=index, folder=folder))
    index.touch()
    extensions = ["-addext", "subjectAltName=IP:127.0.0.1"]
    signer: list[str | Path] = ["-selfsign", "-keyfile", key]
    if by is None:
        extensions += ["-addext", "basicConstraints=critical,CA:TRUE"]
    else:
        signer = ["-cert", folder / f"{by}.pem", "-keyfile", folder / f"{by}.key"]
    _openssl("req", "-new", *_KEY, "-subj", f"/CN={name}", *extensions, "-keyout", key, "-out", order)
    _openssl("ca", "-batch", "-notext", "-config", config, *span, *signer, "-in", order, "-out", made)
    return made, key


def self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate of 127.0.0.1, its own authority, in `folder`; and the context of a server that shows it."""
    made, key = certificate(folder, "device")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return made, context


def dated(folder: Path, begin: datetime, end: datetime) -> tuple[Path, ssl.SSLContext]:
    """As `self_signed`, valid from `begin` to `end`."""
    span = ("-startdate", f"{begin:%Y%m%d%H%M%SZ}", "-enddate", f"{end:%Y%m%d%H%M%SZ}")
    made, key = certificate(folder, "dated", span=span)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return made, context


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
