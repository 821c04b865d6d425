"""Where a listener listens."""

from __future__ import annotations

import errno
import os
import resource

import pytest
from aiohttp import web

from pump.core.net.listening import listening_url


def test_an_address_is_a_url() -> None:
    assert listening_url([("127.0.0.1", 80)], tls=False) == "http://127.0.0.1:80"
    assert listening_url([("::1", 443, 0, 0), ("127.0.0.1", 443)], tls=True) == "https://[::1]:443"


def test_none_at_all_is_an_error() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EADDRNOTAVAIL)):
        listening_url([], tls=False)


async def test_without_descriptors_a_listener_that_listens_nowhere_says_what_is_scarce() -> None:
    runner = web.ServerRunner(web.Server(lambda request: None))  # type: ignore[arg-type, return-value]
    await runner.setup()
    free = os.dup(0)
    os.close(free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()  # content
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            listening_url(runner.addresses, tls=False)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        await runner.cleanup()
