"""The simulator's HTTP/1.1, on asyncio streams: so little of it that every byte of a bad stream can be chosen."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import orjson

from pump.core.clock import Clock
from pump.vendors.hik_gateway.simulator.quirks import Quirks

_PAIR: Final = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')
REASONS: Final = {
    200: "OK", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    503: "Service Unavailable",
}  # fmt: skip


@dataclass(slots=True)
class Request:
    """One request, read whole."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    path: str = field(init=False)
    query: dict[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.target)
        self.path, self.query = parts.path, parse_qs(parts.query)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection, None where it has ended or is no HTTP."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length") or 0))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
        return None
    return Request(method, target, headers, body)


def response(
    status: int, body: bytes, headers: dict[str, str] | None = None, kind: str = "application/json"
) -> bytes:  # fmt: skip
    """A whole response."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}", "Server: nginx", f"Content-Type: {kind}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def status_body(quirks: Quirks, code: int, text: str, sub: str, error: int, **more: Any) -> bytes:
    """A ResponseStatus (9.23, 9.24); with the quirk its errorCode is bare hexadecimal, which no JSON has."""
    fields = {"requestURL": "", "statusCode": code, "statusString": text, "subStatusCode": sub, "errorCode": error}
    body = orjson.dumps(fields | {"errorMsg": sub} | more)
    if quirks.error_code == "hexadecimal":
        body = body.replace(b'"errorCode":%d' % error, b'"errorCode":0x%08x' % error)
    return body


def status_xml(code: int | str, text: str, sub: str) -> bytes:
    """The same in XML, as devices of the older interface write it."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n<ResponseStatus version="2.0" '
        f'xmlns="http://www.isapi.org/ver20/XMLSchema">\r\n<requestURL></requestURL>\r\n<statusCode>{code}'
        f"</statusCode>\r\n<statusString>{text}</statusString>\r\n<subStatusCode>{sub}</subStatusCode>\r\n"
        "</ResponseStatus>\r\n"
    ).encode()


class Digest:
    """The gateway's login (3.1): challenges that expire, attempts that are counted, an account that locks."""

    def __init__(self, clock: Clock, quirks: Quirks, username: str, password: str) -> None:
        self._clock = clock
        self.quirks = quirks
        self.username = username
        self.password = password
        self.realm = "DS-GWAS0101(6419)"
        self._nonces: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self.failures = 0
        self.locked_until = 0.0
        self.logins: list[tuple[float, str]] = []
        """Every answered challenge: when (monotonic), and "ok", "wrong", "expired" or "locked"."""

    def check(self, request: Request) -> bytes | None:
        """None where the request is let in; else the 401 that answers it."""
        given = request.headers.get("authorization", "")
        if not given.lower().startswith("digest "):
            return self._challenge({})
        now = self._clock.monotonic()
        outcome = "locked" if now < self.locked_until else self._verify(request, given, now)
        self.logins.append((now, outcome))
        if outcome == "ok":
            self.failures = 0
            return None
        if outcome == "wrong" or (outcome == "expired" and self.quirks.expired_counts == "yes"):
            self.failures += 1
            if self.failures >= self.quirks.attempts:
                self.locked_until = now + self.quirks.lock_seconds
        left = max(0, self.quirks.attempts - self.failures)
        return self._challenge(
            {
                "lockStatus": "lock" if now < self.locked_until else "unlock",
                "retryTimes": left,
                "resLockTime": int(max(0.0, self.locked_until - now)),
            },
            stale=outcome == "expired",
        )

    def _verify(self, request: Request, given: str, now: float) -> str:
        said = {name: quoted or bare for name, quoted, bare in _PAIR.findall(given)}
        nonce = said.get("nonce", "")
        if nonce not in self._nonces:
            return "expired"
        ha1 = _md5(f"{self.username}:{self.realm}:{self.password}")
        ha2 = _md5(f"{request.method}:{said.get('uri', '')}")
        middle = [said.get(name, "") for name in ("nc", "cnonce", "qop")] if "qop" in said else []
        wanted = _md5(":".join([ha1, nonce, *middle, ha2]))
        if said.get("username") != self.username or said.get("response") != wanted or said.get("uri") != request.target:
            return "wrong"
        if now - self._nonces[nonce] > self.quirks.nonce_seconds:
            return "expired"
        count = int(said.get("nc", "0"), 16)
        if "qop" in said and count <= self._counts.get(nonce, 0):
            return "wrong"
        self._counts[nonce] = count
        return "ok"

    def _challenge(self, more: dict[str, Any], *, stale: bool = False) -> bytes:
        nonce = secrets.token_hex(16)
        self._nonces[nonce] = self._clock.monotonic()
        if len(self._nonces) > 4096:
            for old in list(self._nonces)[:2048]:
                del self._nonces[old]
                self._counts.pop(old, None)
        parts = [f'realm="{self.realm}"', f'nonce="{nonce}"']
        if self.quirks.qop == "auth":
            parts.insert(0, 'qop="auth"')
        if stale:
            parts.append('stale="TRUE"')
        elif self.quirks.stale != "absent":
            parts.append(f'stale="{self.quirks.stale}"')
        body = status_body(self.quirks, 4, "Invalid Operation", "badAuthorization", 0x40000003, **more)
        between = {"digest": "", "basic first": "\r\nWWW-Authenticate: "}.get(self.quirks.offers, ", ")
        basic = f'Basic realm="{self.realm}"{between}' if between else ""
        headers = {"WWW-Authenticate": f"{basic}Digest {', '.join(parts)}", "Connection": self.quirks.challenge}
        return response(401, body, headers)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
