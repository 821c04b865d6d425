"""`[sources.NAME]` of `type = "nameless-vendor"`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from pump.core.settings import Duration, Secret, SourceSettings


def _server(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in text:
        raise ValueError("an address such as https://api.example.com is wanted")
    return text.rstrip("/")


class NamelessVendorSettings(SourceSettings):
    """Each key of the table, with what `pump schema config` says of it."""

    server: Annotated[str, AfterValidator(_server)] = Field(description="where the vendor's API answers")
    api_key: Secret = Field(description="the key that the vendor gave out")
    poll_interval: Duration = Field(
        default=1.0, gt=0, le=86400, description="from one poll to the next while nothing is new"
    )
    timeout: Duration = Field(default=30.0, gt=0, description="a call that takes longer has failed")

    def identity(self) -> str | None:
        """Two sources of one account would take each other's records."""
        return f"{self.server} {self.api_key.get_secret_value()}"
