"""The pictures behind the simulator's links: given until a link dies, encrypted where the account wants it so."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Final

from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.pictures import jpeg
from pump.vendors.hik_connect.simulator.message_parts import Parts

PICTURE: Final = "/v3/alarms/pic/get"
LIFE: Final = 900.0
"""Seconds that a link lives (A.3.12)."""
_BLOCK: Final = 16


class Pictures:
    """Answers GETs of links. `given` counts whole answers by file."""

    def __init__(self, clock: Clock, parts: Parts) -> None:
        self.code = "ABCDEF"
        """The verification code of every device."""
        self.given: Counter[str] = Counter()
        self.failing = 0
        """Requests that are still to be answered 500."""
        self._clock = clock
        self._parts = parts

    def answer(self, request: web.BaseRequest) -> web.Response:
        """The picture of `fileId`."""
        file = request.query.get("fileId", "").partition("-")[0]
        signed = self._parts.signed.get(file)
        if request.method != "GET" or signed is None:
            return web.Response(status=404)
        if self._clock.monotonic() - signed >= LIFE:
            return web.Response(status=403)
        if self.failing > 0:
            self.failing -= 1
            return web.Response(status=500)
        self.given[file] += 1
        content = jpeg(file)
        if request.query.get("isEncrypted") == "1":
            content = encrypted(content, self.code)
        return web.Response(body=content, content_type="image/jpeg")


def encrypted(content: bytes, code: str) -> bytes:
    """As a device does it with its verification code (docs/field.md)."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    pad = _BLOCK - len(content) % _BLOCK
    cipher = Cipher(algorithms.AES(code.encode().ljust(_BLOCK, b"\0")), modes.CBC(b"01234567".ljust(_BLOCK, b"\0")))
    text = cipher.encryptor()
    once = hashlib.md5(code.encode(), usedforsecurity=False).hexdigest()
    twice = hashlib.md5(once.encode(), usedforsecurity=False).hexdigest()
    return b"hikencodepicture" + twice.encode() + text.update(content + bytes([pad]) * pad) + text.finalize()
