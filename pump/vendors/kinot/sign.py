"""Two signatures: of what Kinot sends (`sign` in a callback), and of what it is asked (X-Ca, Alibaba's API gateway).

Both from docs/field.md; the section of the document that would tell them is lost, and its sample values are no vectors.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pump.vendors.kinot.numbers import text_of

SIGN: Final = "sign"
SUFFIXES: Final = ("secret", "key")
"""`&secret=<secret>` now, `&key=<key>` on older platforms."""

SIGNED_HEADERS: Final = ("x-ca-key", "x-ca-nonce", "x-ca-signature-method", "x-ca-timestamp")
"""In order, as they are sent: gateways differ in whether they sign names as sent or in small letters."""
METHOD: Final = "HmacSHA256"
JSON: Final = "application/json"


def callback_sign(fields: Mapping[str, Any], secret: str, suffix: str = SUFFIXES[0]) -> str:
    """The `sign` that belongs to a callback's other fields: MD5, 32 upper-case hexadecimal digits.

    Numbers sign as the text that was sent: decode with `numbers.decode`.
    """
    return _sign(_pairs(fields), secret, suffix)


def _pairs(fields: Mapping[str, Any]) -> list[str]:
    ordered = sorted((name, value) for name, value in fields.items() if name != SIGN)
    return [f"{name}={text_of(value)}" for name, value in ordered]


def _sign(pairs: Sequence[str], secret: str, suffix: str) -> str:
    plain = "&".join([*pairs, f"{suffix}={secret}"])
    digest = hashlib.md5(plain.encode("utf-8", "surrogatepass"), usedforsecurity=False)
    return digest.hexdigest().upper()


def callback_signed(fields: Mapping[str, Any], secret: str) -> bool:
    """Whether `sign` is right, with either suffix."""
    given = fields.get(SIGN)
    if not isinstance(given, str):
        return False
    told = given.strip().upper().encode("utf-8", "replace")
    pairs = _pairs(fields)
    right = [hmac.compare_digest(told, _sign(pairs, secret, suffix).encode()) for suffix in SUFFIXES]
    return any(right)


def content_md5(body: bytes) -> str:
    """Content-MD5 of a body; empty for none, which has no such header."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode() if body else ""


def resource(path: str, query: Mapping[str, str]) -> str:
    """Path and sorted query, as they are signed and as they go over the wire."""
    pairs = "&".join(f"{name}={value}" if value else name for name, value in sorted(query.items()))
    return f"{path}?{pairs}" if pairs else path


def string_to_sign(method: str, target: str, headers: Mapping[str, str]) -> str:
    """What is signed: method, four headers, the signed headers, path and query, by lines.

    `headers` has small-letter names; `target` is what `resource` gives. The headers that are signed are those that
    x-ca-signature-headers names.
    """
    names = sorted(name for name in headers.get("x-ca-signature-headers", "").split(",") if name)
    lines = [method, *(headers.get(name, "") for name in ("accept", "content-md5", "content-type", "date"))]
    lines += [f"{name}:{headers.get(name.lower(), '')}" for name in names]
    return "\n".join([*lines, target])


def gateway_signature(text: str, secret: str) -> str:
    """x-ca-signature of a string to sign: base64 of its HMAC-SHA256."""
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def signed_headers(
    method: str, target: str, body: bytes, *, key: str, secret: str, stamp_ms: int, nonce: str
) -> tuple[dict[str, str], str]:
    """All headers of a request, and the string that they sign."""
    headers = {
        "accept": JSON,
        "content-type": JSON,
        "x-ca-key": key,
        "x-ca-nonce": nonce,
        "x-ca-signature-headers": ",".join(SIGNED_HEADERS),
        "x-ca-signature-method": METHOD,
        "x-ca-timestamp": str(stamp_ms),
    }
    if body:
        headers["content-md5"] = content_md5(body)
    text = string_to_sign(method, target, headers)
    headers["x-ca-signature"] = gateway_signature(text, secret)
    return headers, text
