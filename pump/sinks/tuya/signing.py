"""The signature of a call to Tuya's cloud (docs/field.md, Tuya). Pure: bytes and texts in, a text out.

    HMAC-SHA256(secret, client_id + access_token + t + nonce + string to sign), in upper-case hexadecimal digits

The string to sign is four lines: method, SHA-256 of the body in lower-case digits, the signed headers (we sign none, so
that the line is empty), and path with query, the query's fields sorted by name. A call for a token has no access_token.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

METHOD: Final = "HMAC-SHA256"
"""The value of the header `sign_method`."""
_SAFE: Final = "-._~"


class Request(NamedTuple):
    """The part of a call that is signed, exactly as it goes over the wire."""

    method: str
    target: str
    """Path and query, as `target` made it."""
    body: bytes = b""


def target(path: str, query: Mapping[str, str] | None = None) -> str:
    """The path with its query sorted by name and percent-encoded; `path` is encoded already."""
    if not query:
        return path
    fields = (f"{quote(name, safe=_SAFE)}={quote(value, safe=_SAFE)}" for name, value in sorted(query.items()))
    return f"{path}?{'&'.join(fields)}"


def string_to_sign(request: Request) -> str:
    """The four lines that stand for the request."""
    return "\n".join((request.method, hashlib.sha256(request.body).hexdigest(), "", request.target))


def sign(request: Request, *, client_id: str, secret: str, token: str, time_ms: int, nonce: str) -> str:
    """The header `sign`; `token` is empty for the call that asks for one."""
    text = f"{client_id}{token}{time_ms}{nonce}{string_to_sign(request)}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest().upper()


def headers(request: Request, *, client_id: str, secret: str, token: str, time_ms: int, nonce: str) -> dict[str, str]:
    """All headers of the call that have to do with who calls, and when."""
    signature = sign(request, client_id=client_id, secret=secret, token=token, time_ms=time_ms, nonce=nonce)
    found = {"client_id": client_id, "t": str(time_ms), "nonce": nonce, "sign_method": METHOD, "sign": signature}
    return {**found, "access_token": token} if token else found
