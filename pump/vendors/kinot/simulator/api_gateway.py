"""Alibaba's API gateway as it stands before Kinot: checks each request byte for byte, and says what it finds.

Written from the gateway's rules and not with `sign`, so that a mistake there is not made here too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

ALLOWED_MS: Final = 15 * 60 * 1000


class Refusal(Exception):
    """The gateway answers in Kinot's place."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Gate:
    """One app key's requests."""

    def __init__(self, key: str, secret: str) -> None:
        self.key = key
        self.secret = secret
        self.nonces: set[str] = set()

    def check(self, method: str, target: str, headers: Mapping[str, str], body: bytes, now_ms: int) -> None:
        """Raises Refusal. `target` is the request line's, unchanged; `headers` looks names up in any case."""
        if headers.get("X-Ca-Key", "") != self.key:
            raise Refusal(400, "Invalid AppKey")
        if not headers.get("X-Ca-Signature"):
            raise Refusal(404, "Empty Signature")
        stamp = headers.get("X-Ca-Timestamp", "")
        if not stamp.isdecimal():
            raise Refusal(400, "Invalid Timestamp")
        if abs(int(stamp) - now_ms) > ALLOWED_MS:
            raise Refusal(400, "Timestamp Expired")
        nonce = headers.get("X-Ca-Nonce", "")
        if nonce in self.nonces:
            raise Refusal(400, "Nonce Used")
        digest = headers.get("Content-MD5", "")
        if (digest or body) and digest != base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode():
            raise Refusal(400, "Invalid Content-MD5")
        text = self._text(method, target, headers)
        right = base64.b64encode(hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(right.encode(), headers["X-Ca-Signature"].encode()):
            # a header holds no line feeds: the gateway writes them as #
            told = text.replace("\n", "#")
            raise Refusal(400, f"Invalid Signature, Server StringToSign:`{told}`")
        self.nonces.add(nonce)

    @staticmethod
    def _text(method: str, target: str, headers: Mapping[str, str]) -> str:
        text = method + "\n"
        for name in ("Accept", "Content-MD5", "Content-Type", "Date"):
            text += headers.get(name, "") + "\n"
        signed = [name.strip() for name in headers.get("X-Ca-Signature-Headers", "").split(",")]
        for name in sorted(name for name in signed if name):
            text += f"{name}:{headers.get(name, '')}\n"
        path, mark, query = target.partition("?")
        return text + path + mark + "&".join(sorted(query.split("&")))
