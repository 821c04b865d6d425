"""A host of pictures behind signed links, as clouds and cameras have them: links die, answers fail, hosts go away."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from pump.core.clock import Clock
from pump.simulation.drawing import HEAD, draw
from pump.simulation.server import WebServer

LIFE: Final = 900.0
"""Seconds that a link lives where nothing else is wanted."""

_DRAWINGS: Final = 64
"""Different ones."""
_COMMENT: Final = 60_000
"""Bytes of a JPEG's comment; 65,535 are the most."""

Answer = Callable[[web.BaseRequest], web.StreamResponse | Awaitable[web.StreamResponse]]


def jpeg(name: str, size: int = 4096) -> bytes:
    """The picture of this name, always the same, of `size` bytes: one that is drawn, with noise in its comments.

    Where there is no room for it, the beginning and the end of a JPEG, and noise between.
    """
    seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
    return picture(seed, random.Random(seed).randbytes(max(0, size - 6)))


def picture(seed: int, noise: bytes) -> bytes:
    """As `jpeg`, with noise of one's own, whose first bytes give way to the drawing; 6 bytes longer than the noise."""
    drawn = draw(seed % _DRAWINGS)
    room = len(noise) + 6 - len(drawn)
    if room < 4:
        return b"\xff\xd8\xff\xe0" + noise + b"\xff\xd9"
    comments, place = [], len(noise)
    while room:
        length = min(room, _COMMENT)
        if length < room < length + 4:
            length -= 4  # what is left must have room for a comment of its own
        place -= length - 4
        comments.append(b"\xff\xfe" + (length - 2).to_bytes(2, "big") + noise[place : place + length - 4])
        room -= length
    return b"".join((drawn[:HEAD], *comments, drawn[HEAD:]))


class PictureHost(WebServer):
    """GET /<name> gives `jpeg(name)` until its link dies, then 403."""

    def __init__(
        self, *, clock: Clock, failing: float = 0.0, size: int = 4096, host: str = "127.0.0.1", port: int = 0,
        seed: int = 0,
    ) -> None:  # fmt: skip
        """`failing` is the share of requests that fail, in the ways in which hosts do."""
        super().__init__(host, port)
        self.clock = clock
        self.failing = failing
        self.size = size
        self.asked: Counter[str] = Counter()
        """Requests by name."""
        self.given: Counter[str] = Counter()
        """Whole answers by name."""
        self.most_at_once = 0
        self.answers: dict[str, Answer] = {}
        """What a name is answered with instead."""
        self.headers: list[Mapping[str, str]] = []
        """Of each request."""
        self.hanging = asyncio.Event()
        """While it is set no request is answered."""
        self._at_once = 0
        self._random = random.Random(seed)

    def link(self, name: str, life: float | None = LIFE) -> str:
        """A signed address of the picture; None: one without an end."""
        end = "" if life is None else f"?Expires={int(self.clock.now().timestamp() + life)}&Signature=x"
        return f"{self.url}/{name}{end}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """As WebServer.answer."""
        name = request.path.lstrip("/")
        self.asked[name] += 1
        self.headers.append(dict(request.headers))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.hanging.is_set():
                await asyncio.Event().wait()
            return await self._given(request, name)
        finally:
            self._at_once -= 1

    async def _given(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        end = request.query.get("Expires")
        if end is not None and self.clock.now().timestamp() >= float(end):
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>", content_type="text/xml")
        if (other := self.answers.get(name)) is not None:
            found = other(request)
            return found if isinstance(found, web.StreamResponse) else await found
        body = jpeg(name, self.size)
        if self._random.random() < self.failing:
            return await self._failed(request, body)
        self.given[name] += 1
        return web.Response(body=body, content_type="image/jpeg")

    async def _failed(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        """A status, a message instead of a picture, an answer cut in its middle, or none at all."""
        match self._random.randrange(4):
            case 0:
                return web.Response(status=self._random.choice((404, 500, 502)))
            case 1:
                return web.json_response({"errorCode": "EVZ20002", "errorMsg": "the file is not there yet"})
            case 2:
                response = web.StreamResponse(headers={"Content-Length": str(len(body))})
                await response.prepare(request)
                await response.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)
