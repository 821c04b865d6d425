"""A request as a push source sees it, and its answer: no library's types, so that tests need no socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar

import orjson

from pump.core.errors import MessageError
from pump.core.tasks import Threads

T = TypeVar("T")

DECODING: Final = Threads("decoding", 2)
"""For bodies that are unpacked and decoded beside the event loop."""
IN_THREAD: Final = 64 << 10
"""Bytes of a body above which that is done in a thread: below, the way there and back costs more than the work."""
AT_ONCE: Final = 1 << 20
"""Bytes of a body up to which a reader that looks at few of them may try it on the event loop: 0.3 ms at the most."""
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True, frozen=True)
class _Unread:
    """A reader could not read the request, for this reason."""

    reason: str


@dataclass(slots=True)
class Push:
    """One request, whole: the listener has read the body, within its limits, before the source sees it."""

    method: str
    path: str
    """Decoded, without the query, doubled slashes made one."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """By name, whose case does not matter when it comes from the listener."""
    body: bytes = b""
    """With gzip or deflate taken off."""
    peer: str = ""
    """The device's address; behind a trusted proxy, what the proxy says."""
    _made: dict[Callable[[Push], Any], Any] | None = field(default=None, init=False, repr=False, compare=False)

    async def read(self, reader: Callable[[Push], T], quick: Callable[[Push], T | None] | None = None) -> T:
        """The request as `reader` reads it: once, whoever asks for it again, and a large body in a thread.

        `reader` is a function of a module (it is remembered by it) and touches nothing but the request. Raises what it
        raises; a MessageError is remembered too. `quick` reads some large bodies to the same without looking at all of
        them, raises nothing and returns None for the others.
        """
        if self._made is None:
            self._made = {}
        elif reader in self._made:
            made = self._made[reader]
            if isinstance(made, _Unread):
                raise MessageError(made.reason)
            return made  # type: ignore[no-any-return]
        size = len(self.body)
        if quick is not None and IN_THREAD < size <= AT_ONCE and (short := quick(self)) is not None:
            self._made[reader] = short
            return short
        try:
            found = reader(self) if size <= IN_THREAD else await DECODING.run(reader, self)
        except MessageError as error:
            # Not the error: its traceback holds this request, which would hold it, and a large body would stay until
            # the collector comes by.
            self._made[reader] = _Unread(str(error))
            raise
        self._made[reader] = found
        return found


@dataclass(slots=True)
class Response:
    """The answer, in the vendor's own form."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    content_type: str = "application/json"


def json_response(body: object, status: int = 200, headers: Mapping[str, str] = _NOTHING) -> Response:
    """An answer of JSON values. Made for each request; what never changes is better kept as a `Response`."""
    return Response(status, orjson.dumps(body), headers)


class Refused(Exception):
    """A request that is answered with an error: the listener asks the source for its failure form.

    `status` is the HTTP status (4xx, 503), `reason` one short sentence for whoever reads the device's log, without
    secrets; `retry_after` seconds go into the header Retry-After.
    """

    def __init__(self, status: int, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


def failure(refused: Refused) -> Response:
    """The failure form where no vendor's is known."""
    return json_response({"code": refused.status, "message": refused.reason}, refused.status)
