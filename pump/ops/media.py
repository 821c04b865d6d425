"""/media/<id>: the stored pictures, for people on this machine and for those who have a token.

An id is a medium's in its event, the path that the event gives it, or the content's SHA-256.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import structlog
from aiohttp import hdrs, web

from pump.core.tasks import Threads
from pump.ingest.fetch.sniffing import NEEDED, UNKNOWN, kind_of_bytes
from pump.ops import thumbnails
from pump.ops.callers import from_here
from pump.ops.thumbnails import NoThumbnail, thumbnail
from pump.spool.offline import find_medium

log = structlog.get_logger()

PATH: Final = "/media/{id:.+}"
_PIECE: Final = 256 << 10
_FOUND: Final = 4096
"""Ids whose content is remembered."""
_DIGEST: Final = re.compile(r"(?:[0-9a-f]{2}/)?([0-9a-f]{64})")
_LONGEST: Final = 200
"""Characters of an id."""
_ENDINGS: Final = {
    "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/bmp": "bmp", "image/webp": "webp",
    "video/mp4": "mp4", "video/mpeg": "mpg", "video/x-msvideo": "avi", "audio/wav": "wav", "audio/mpeg": "mp3",
}  # fmt: skip
"""Of the types that a browser may show; anything else is handed out as bytes to keep."""
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, max-age=86400, immutable",
}
"""What is shown was made by strangers: nothing in it may run, nor be shown inside of another's page."""
_NONE: Final = {**_HEADERS, "Cache-Control": "no-store"}
"""Where there is nothing to show: it may come."""


class _File:
    """A stored file that is open; its content is what its name says."""

    def __init__(self, file: int, digest: str, size: int, mime: str) -> None:
        self.digest = digest
        self.size = size
        self.mime = mime
        self._file: int | None = file
        self._lock = threading.Lock()  # a thread may read still for a request that was cancelled

    def read(self, size: int, place: int) -> bytes:
        """So many bytes from there on, in a thread; none once it is closed."""
        with self._lock:
            return b"" if self._file is None else os.pread(self._file, size, place)

    def close(self) -> None:
        """Let go of it, in a thread."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def __del__(self) -> None:
        self.close()  # nobody waited any more when it was opened


class MediaPages:
    """Answers requests below /media. `folder` is the media store's, `spool` the state directory."""

    def __init__(self, folder: Path, spool: Path, threads: Threads, tokens: Iterable[str] = ()) -> None:
        """`threads` are the media store's: they wait for its disk and for nothing else."""
        self._folder = folder
        self._spool = spool
        self._threads = threads
        self.use_tokens(tokens)
        self.also: Callable[[web.Request], bool] | None = None
        """Lets in who has signed in on the operators' page; set by who has that."""
        self._looking = Threads("media look-up", 1)
        self._known: OrderedDict[str, str] = OrderedDict()

    def use_tokens(self, tokens: Iterable[str]) -> None:
        """Let in who has one of these from now on."""
        self._tokens = [hashlib.sha256(token.encode()).digest() for token in tokens]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The file; 401 for who may not see it, 404 where there is none, 501 for a thumbnail without Pillow."""
        if not self._may(request):
            return web.Response(status=401, text="a token is wanted\n", headers={"WWW-Authenticate": "Bearer"})
        size = _size(request.query.get("thumbnail"))
        digest = await self._digest(request.match_info["id"])
        opened = None if digest is None else await self._threads.run(self._open, digest)
        if opened is None:
            return web.Response(status=404, text="no such picture is stored\n", headers=_NONE)
        try:
            if size is not None:
                return await self._small(opened, size)
            return await self._whole(request, opened)
        finally:
            await asyncio.shield(self._threads.run(opened.close))  # also where the request is cancelled

    # --- who may --------------------------------------------------------------------------------------------------

    def _may(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        if given:
            scheme, _, token = given.partition(" ")
            digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
            # Every token is compared, and all take their time: neither which nor how far shows.
            fits = [hmac.compare_digest(digest, one) for one in self._tokens]
            return scheme.lower() == "bearer" and any(fits)
        return from_here(request) or (self.also is not None and self.also(request))

    # --- what -----------------------------------------------------------------------------------------------------

    async def _digest(self, name: str) -> str | None:
        """The SHA-256 of the content that the id stands for."""
        if found := _DIGEST.fullmatch(name):
            return found[1]
        if len(name) > _LONGEST or "/" not in name or not name.isprintable():
            return None
        if name in self._known:
            self._known.move_to_end(name)
            return self._known[name]
        try:
            entry = await self._looking.run(find_medium, self._spool, name)
        except (sqlite3.Error, ValueError) as error:
            log.warning("A picture could not be looked up in the spool", error=str(error))
            return None
        digest = str((entry or {}).get("sha256", ""))
        if _DIGEST.fullmatch(digest) is None:
            return None
        self._known[name] = digest
        if len(self._known) > _FOUND:
            self._known.popitem(last=False)
        return digest

    def _open(self, digest: str) -> _File | None:
        """In a thread. The content is compared with its name first: a crash may have left half a file under it."""
        try:
            file = os.open(self._folder / digest[:2] / digest, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        whole, size, begin = hashlib.sha256(), 0, b""
        try:
            while piece := os.pread(file, _PIECE, size):
                begin = begin or piece[:NEEDED]
                whole.update(piece)
                size += len(piece)
        except OSError:
            size = -1
        if size < 0 or whole.hexdigest() != digest:
            os.close(file)
            log.warning("A stored picture is damaged and is not shown", digest=digest)
            return None
        mime = kind_of_bytes(begin)
        return _File(file, digest, size, mime if mime in _ENDINGS else UNKNOWN)

    async def _whole(self, request: web.Request, opened: _File) -> web.StreamResponse:
        shown = opened.mime in _ENDINGS
        name = f"{opened.digest[:16]}.{_ENDINGS.get(opened.mime, 'bin')}"
        response = web.StreamResponse(headers=_HEADERS)
        response.content_type = opened.mime
        response.content_length = opened.size
        response.headers["Content-Disposition"] = f'{"inline" if shown else "attachment"}; filename="{name}"'
        await response.prepare(request)
        place = 0
        while request.method != hdrs.METH_HEAD and place < opened.size:
            piece = await self._threads.run(opened.read, _PIECE, place)
            if not piece:
                break
            await response.write(piece)
            place += len(piece)
        await response.write_eof()
        return response

    async def _small(self, opened: _File, size: int) -> web.Response:
        if not opened.mime.startswith("image/") or opened.size > thumbnails.MOST_BYTES:
            return web.Response(status=415, text="there are thumbnails of pictures alone\n", headers=_NONE)
        content = await self._threads.run(opened.read, opened.size, 0)
        try:
            small = await thumbnails.threads.run(thumbnail, content, size)
        except NoThumbnail as error:
            status = 501 if "Pillow" in str(error) else 415
            return web.Response(status=status, text=f"{error}\n", headers=_NONE)
        name = f"{opened.digest[:16]}-{size}.jpg"
        headers = {**_HEADERS, "Content-Disposition": f'inline; filename="{name}"'}
        return web.Response(body=small, content_type="image/jpeg", headers=headers)


def _size(text: str | None) -> int | None:
    """Pixels of the thumbnail that is asked for; None: the picture itself."""
    if text is None:
        return None
    wanted = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else thumbnails.USUAL
    return min(max(wanted, thumbnails.SMALLEST), thumbnails.LARGEST)
