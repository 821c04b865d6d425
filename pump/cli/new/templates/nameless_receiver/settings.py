"""`[sinks.NAME]` of `type = "nameless-receiver"`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pump.core.settings import Secret, SinkSettings


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or "@" in text:
        raise ValueError("an address such as https://receiver.example.com/events is wanted")
    return text


class NamelessReceiverSettings(SinkSettings):
    """Each key of the table, beside those that every sink has."""

    url: Annotated[str, AfterValidator(_url)] = Field(description="where events are posted to")
    api_key: Secret = Field(description="the key that the receiver gave out")
    batch_size: int = Field(default=50, ge=1, le=5000, description="events posted before the cursor moves")
