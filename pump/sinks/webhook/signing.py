"""Signatures of the Standard Webhooks specification, version 1 (symmetric): `whsec_` secrets, HMAC-SHA256."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

PREFIX: Final = "whsec_"
SHORTEST: Final = 24
LONGEST: Final = 64
"""Bytes of a key, by the specification."""


def key_of(secret: str) -> bytes:
    """The key of a secret: "whsec_" and 24 to 64 bytes in base64. ValueError, which does not show the secret."""
    if secret.startswith(PREFIX):
        text = secret[len(PREFIX) :]
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if SHORTEST <= len(key) <= LONGEST:
            return key
    raise ValueError(
        f'"{PREFIX}" and {SHORTEST} to {LONGEST} bytes in base64 are wanted: echo {PREFIX}$(openssl rand -base64 32)'
    )


class Signer:
    """Signs with every key at once, so that a receiver may know the old one or the new one while they change."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._begun = [hmac.new(key_of(secret), digestmod=hashlib.sha256) for secret in secrets]

    def headers(self, name: str, timestamp: int, body: bytes) -> dict[str, str]:
        """webhook-id, webhook-timestamp (seconds since 1970, of this attempt), and with keys webhook-signature."""
        headers = {"webhook-id": name, "webhook-timestamp": str(timestamp)}
        signatures = []
        for begun in self._begun:
            digest = begun.copy()
            digest.update(f"{name}.{timestamp}.".encode())
            digest.update(body)
            signatures.append(f"v1,{base64.b64encode(digest.digest()).decode()}")
        if signatures:
            headers["webhook-signature"] = " ".join(signatures)
        return headers
