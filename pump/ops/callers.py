"""A request's caller: somebody on this very machine, or from elsewhere; and the host that it calls the listener."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from aiohttp import HttpVersion11, web

from pump.ingest.push.admission import Network, client

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


def from_here(request: web.BaseRequest) -> bool:
    """Somebody on this machine; not through a proxy of it, nor a page of elsewhere that calls itself this machine.

    A proxy that says nothing of itself may still speak HTTP/1.0, as nginx does unless told otherwise.
    """
    through = request.version < HttpVersion11 or any(name in request.headers for name in _FORWARDED)
    return loopback(request.remote or "") and not through and loopback(host_of(request))


def sender(request: web.BaseRequest, proxies: Sequence[Network]) -> str:
    """The address of who sent it; for a trusted proxy, of who sent it there (X-Forwarded-For)."""
    return client(request.remote or "", ",".join(request.headers.getall("X-Forwarded-For", ())), proxies)


def host_of(request: web.BaseRequest) -> str:
    """The host of the Host header, without its port and brackets, in small letters."""
    header = request.headers.get("Host", "").strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] or header


def loopback(host: str) -> bool:
    """True where the name or address is this machine's own for itself."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host.partition("%")[0]).is_loopback)


def is_address(host: str) -> bool:
    """True where it is an address, which nobody can have point elsewhere as they can a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
