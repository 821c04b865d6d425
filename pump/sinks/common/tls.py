"""TLS of sinks that are clients: the context, and what a connection that was refused means."""

from __future__ import annotations

import ssl
from typing import Final

from pump.core.errors import Misconfigured, Unavailable
from pump.core.failure import clock_doubt, outside_its_time
from pump.core.files import given
from pump.core.net.tls import ClosedIfRefused
from pump.core.tasks import Threads
from pump.core.text import words_of

_READING: Final = Threads("certificates", 4)
"""A file system that hangs must not take threads that others wait for, name look-ups among them."""


async def client_context(
    ca_file: str | None, cert_file: str | None, key_file: str | None, password: str | None
) -> ssl.SSLContext:
    """A context that verifies the server, with the client's certificate where there is one. Raises Misconfigured.

    All files are PEM.
    """
    return await _READING.run(_client_context, ca_file, cert_file, key_file, password)


def _client_context(
    ca_file: str | None, cert_file: str | None, key_file: str | None, password: str | None
) -> ssl.SSLContext:
    try:
        for path in filter(None, (ca_file, cert_file, key_file)):
            given.require_file(path)
        context = ssl.create_default_context(cafile=ca_file)
        context.sslsocket_class = ClosedIfRefused
        if cert_file is not None:
            # A callable, for without a password OpenSSL would ask on the terminal.
            context.load_cert_chain(cert_file, key_file, password=lambda: password or "")
    except ssl.SSLError as error:
        raise Misconfigured(f"the certificates cannot be used: {error.reason or 'not PEM'}") from error
    except OSError as error:
        raise Misconfigured(f"the certificates cannot be read: {error.strerror}") from error
    return context


def refusal(error: OSError, address: str) -> Misconfigured | Unavailable:
    """What an error of the socket to `address` (host:port) means: a certificate not accepted waits for a person.

    One outside its time does not: the clock may be mended in a minute.
    """
    if outside_its_time(error):
        return Unavailable(f"the certificate of {address} is not valid now{clock_doubt(error)}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Misconfigured(f"the certificate of {address} is not accepted: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "no TLS"
        if "ALERT" in reason:
            return Misconfigured(f"{address} refuses the TLS connection: {reason}")
        return Unavailable(f"TLS to {address} fails: {reason}")
    return Unavailable(f"{address} is not reachable: {words_of(error)}")
