"""`[sinks.NAME]` with `type = "webhook"`."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator
from yarl import URL

from pump.core.net.addresses import inside
from pump.core.settings import Duration, Secret, SinkSettings
from pump.sinks.common.throttle import Throttle
from pump.sinks.webhook.expiry import ROUNDS
from pump.sinks.webhook.signing import key_of

AHEAD: Final = 4
"""Requests of each connection that one `send` is given: more would come again after a crash."""
_OWN: Final = {"content-type", "content-length", "host", "transfer-encoding", "connection", "cookie"}


def _listed(value: object) -> object:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _one_or_many(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [*schema["anyOf"], {"type": "array", "items": schema}]}


_SECRET: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "string"},
        *(
            {
                "type": "object",
                "properties": {key: {"type": "string"}},
                "required": [key],
                "additionalProperties": False,
            }
            for key in ("file", "credential")
        ),
    ]
}
Secrets = Annotated[tuple[Secret, ...], BeforeValidator(_listed), WithJsonSchema(_one_or_many(_SECRET))]


class WebhookSettings(SinkSettings):
    """`[sinks.NAME]` with `type = "webhook"`."""

    url: str = Field(description="http:// or https://, where each request is posted")
    secret: Secrets = Field(default=(), description='"whsec_…" (Standard Webhooks), or a list while keys rotate')
    start: Literal["oldest", "now"] = Field(
        default="now", description="where a new sink begins: a receiver is seldom meant to get what is days old"
    )
    batch_size: int = Field(
        default=1, ge=1, le=5000, description="events a request; above 1 each is a batch, a JSON array"
    )
    concurrency: int = Field(default=1, ge=1, le=64, description="requests at a time; above 1 there is no order")
    timeout: Duration = Field(default=15.0, gt=0, description="of one attempt")
    max_age: Duration = Field(
        default=86400.0, gt=0, description="what could not be delivered for so long becomes a dead letter"
    )
    headers: dict[str, Secret] = Field(default={}, description="sent along; values may be secrets")
    allow_private: bool = Field(
        default=False, description="permit private, loopback and link-local addresses as targets"
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, text: str) -> str:
        try:
            url = URL(text)
        except ValueError:
            url = URL()
        if url.scheme not in ("http", "https") or not url.host or url.user is not None or url.fragment:
            raise ValueError("an http:// or https:// URL is wanted; a user or key of it belongs into headers")
        return text

    @field_validator("secret")
    @classmethod
    def _has_keys(cls, secrets: tuple[Any, ...]) -> tuple[Any, ...]:
        for secret in secrets:
            key_of(secret.get_secret_value())
        return secrets

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, Any]) -> dict[str, Any]:
        for name, value in headers.items():
            lower = name.lower()
            if lower in _OWN or lower.startswith("webhook-"):
                raise ValueError(f"{name} is the sink's own header")
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f'"{name}" is no name of a header')
            if any(character in value.get_secret_value() for character in "\r\n\0"):
                raise ValueError(f"the value of {name} holds a line's end")
        return headers

    @property
    def read_limit(self) -> int:
        """Enough to keep every connection busy for a while."""
        return min(5000, self.batch_size * self.concurrency * AHEAD)

    @property
    def deadline(self) -> float:
        """Every attempt has its own time; this is for what nobody thought of."""
        attempts = 2 * self.concurrency * AHEAD + (2 + ROUNDS) * self.batch_size.bit_length()
        return (self.timeout + Throttle.LONGEST_GAP) * attempts

    def endpoint_digest(self) -> str:
        """A digest of the URL, which may hold what others must not see."""
        return hashlib.blake2b(self.url.encode(), digest_size=16).hexdigest()

    def warnings(self) -> list[str]:
        """Settings that leave events open to others."""
        told = super().warnings()
        url = URL(self.url)
        if url.scheme == "http" and not _is_inside(url.host or ""):
            told.append("http:// carries events, and whose plates they show, unencrypted")
        if not self.secret:
            told.append("without secret nothing is signed: the receiver cannot know who posts")
        return told


def _is_inside(host: str) -> bool:
    try:
        return inside(host)
    except ValueError:
        return host == "localhost"
