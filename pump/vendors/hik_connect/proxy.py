"""Which proxy the environment (HTTPS_PROXY, NO_PROXY) wants the calls to go through."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from pump.vendors.hik_connect.domain import Server


@dataclass(slots=True, frozen=True)
class Proxy:
    """As aiohttp wants it: None for none."""

    url: URL | None = None
    auth: aiohttp.BasicAuth | None = None


def proxy_of(server: Server) -> Proxy:
    """The proxy for calls to `server`, to be asked once for each; ValueError where the environment names no URL.

    aiohttp's own `trust_env` asks in two hops to a thread for every call, and would send a password of ~/.netrc.
    """
    named = getproxies().get(server.scheme)
    if not named or proxy_bypass(server.host.strip("[]")):
        return Proxy()
    url = URL(named if "://" in named else f"http://{named}")
    return Proxy(url.with_user(None), aiohttp.BasicAuth.from_url(url))
