"""What a push source sees of a request, and what it answers: no library's types, so that tests need no socket."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import orjson

from pump.core.rate import TokenBucket

_NOTHING: Mapping[str, str] = MappingProxyType({})


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
    memo: Any = None
    """What a source has made of the body while it was asked whether the request is its own, for `handle` to use."""
    pace: TokenBucket | None = None
    held: int = 0
    """Bytes that count as the request's until it is answered."""

    def admit(self, device: Hashable) -> None:
        """Count a request of the device, which the source names once it knows it. Raises Refused (429) for too many."""
        if self.pace is not None and (wait := self.pace.take(device)):
            raise Refused(429, "this device sends too many requests", retry_after=wait)


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
