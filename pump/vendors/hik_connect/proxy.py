"""Which proxy the environment (HTTPS_PROXY, NO_PROXY) wants the calls to go through."""

from __future__ import annotations

from urllib.request import getproxies, proxy_bypass

from pump.vendors.hik_connect.domain import Server


def proxy_of(server: Server) -> str | None:
    """The proxy for calls to `server`, with its user and password where it has them; None for none.

    To be asked once for each server. aiohttp's own `trust_env` asks in two hops to a thread for every call, and
    would send the vendor a password of ~/.netrc.
    """
    named = getproxies().get(server.scheme)
    if not named or proxy_bypass(server.host.strip("[]")):
        return None
    return named if "://" in named else f"http://{named}"
