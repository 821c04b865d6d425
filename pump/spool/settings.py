"""[spool] of pump.toml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pump.core.settings import Duration, Settings, Size


class SpoolSettings(Settings):
    """How long and how much the spool keeps."""

    retention: Duration = Field(default=7 * 86400.0, gt=0, description="events are kept this long after they arrived")
    max_bytes: Size = Field(default=4 << 30, ge=16 << 20, description="the most the spool takes on disk")
    when_full: Literal["block", "drop-oldest"] = Field(
        default="block", description="refuse new events, or drop the oldest and tell it, when max_bytes is reached"
    )
